"""Metrics `metric(outputs, targets)` return one number for each example; a mask sums them into (sum, count) pairs.

Pairs merge by addition, so an average over batches of any sizes is exact, also with a padded last batch. The confusion
matrix, the counts of BLEU, the moments, histograms of scores, bins of calibration and sums of regressions merge in the
same way: first compute the sums, then `merge` them, and compute the score or its interval at the end.
"""

from jaxnn.metrics.accuracies import accuracy as accuracy
from jaxnn.metrics.accuracies import top_k as top_k
from jaxnn.metrics.agreement_scores import balanced_accuracy as balanced_accuracy
from jaxnn.metrics.agreement_scores import cohen_kappa as cohen_kappa
from jaxnn.metrics.agreement_scores import matthews_correlation as matthews_correlation
from jaxnn.metrics.bleu_score import BleuCounts as BleuCounts
from jaxnn.metrics.bleu_score import bleu as bleu
from jaxnn.metrics.bleu_score import bleu_counts as bleu_counts
from jaxnn.metrics.calibration_errors import CalibrationBins as CalibrationBins
from jaxnn.metrics.calibration_errors import calibration_bins as calibration_bins
from jaxnn.metrics.calibration_errors import expected_calibration_error as expected_calibration_error
from jaxnn.metrics.calibration_errors import maximum_calibration_error as maximum_calibration_error
from jaxnn.metrics.confidence_intervals import Interval as Interval
from jaxnn.metrics.confidence_intervals import normal_interval as normal_interval
from jaxnn.metrics.confidence_intervals import student_interval as student_interval
from jaxnn.metrics.confidence_intervals import wilson_interval as wilson_interval
from jaxnn.metrics.confusion_matrices import confusion_matrix as confusion_matrix
from jaxnn.metrics.confusion_matrices import f1 as f1
from jaxnn.metrics.confusion_matrices import f_beta as f_beta
from jaxnn.metrics.confusion_matrices import intersection_over_union as intersection_over_union
from jaxnn.metrics.confusion_matrices import precision as precision
from jaxnn.metrics.confusion_matrices import recall as recall
from jaxnn.metrics.mergeable_sums import Mean as Mean
from jaxnn.metrics.mergeable_sums import Moments as Moments
from jaxnn.metrics.mergeable_sums import masked_mean as masked_mean
from jaxnn.metrics.mergeable_sums import masked_moments as masked_moments
from jaxnn.metrics.mergeable_sums import merge as merge
from jaxnn.metrics.mergeable_sums import perplexity as perplexity
from jaxnn.metrics.regression_scores import RegressionSums as RegressionSums
from jaxnn.metrics.regression_scores import r_squared as r_squared
from jaxnn.metrics.regression_scores import regression_sums as regression_sums
from jaxnn.metrics.retrieval_metrics import average_precision as average_precision
from jaxnn.metrics.retrieval_metrics import recall_at_k as recall_at_k
from jaxnn.metrics.threshold_scores import Area as Area
from jaxnn.metrics.threshold_scores import ScoreHistogram as ScoreHistogram
from jaxnn.metrics.threshold_scores import binary_average_precision as binary_average_precision
from jaxnn.metrics.threshold_scores import binned_roc_auc as binned_roc_auc
from jaxnn.metrics.threshold_scores import roc_auc as roc_auc
from jaxnn.metrics.threshold_scores import score_histogram as score_histogram

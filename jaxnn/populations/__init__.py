"""A population repeats one run over seeds, hyperparameters and subsets of the data, many trainings in one program.

| you want | you write |
| --- | --- |
| folds, bootstraps, growing parts | `members_of(settings, splits=k_fold(n, 5))`, `bootstraps`, `nested_parts` |
| an ensemble | `predict_members`, `average_probabilities`, `vote`, `ensemble_errors`, `Snapshots` |
| cross-validation, with the one-standard-error rule | `cross_validate` |
| a search | `search`, `coarse_to_fine`, `hyperband`, `population_based_training`, `ask_and_tell` (Optuna) |
| a learning rate | `find_learning_rate`, which tries a range of them as one population |
| members and batches on a grid of devices | `fit(..., devices=jax.devices(), data_shards=4)`: eight devices are 2 x 4 |
| a study, with confidence intervals | `seeds_study`, `learning_curve`, `capacity_study` |
"""

from jaxnn.populations.cross_validation import CrossValidation as CrossValidation
from jaxnn.populations.cross_validation import cross_validate as cross_validate
from jaxnn.populations.ensembles import EnsembleErrors as EnsembleErrors
from jaxnn.populations.ensembles import average_probabilities as average_probabilities
from jaxnn.populations.ensembles import ensemble_errors as ensemble_errors
from jaxnn.populations.ensembles import vote as vote
from jaxnn.populations.hyperband_search import brackets as brackets
from jaxnn.populations.hyperband_search import hyperband as hyperband
from jaxnn.populations.hyperband_search import successive_halving as successive_halving
from jaxnn.populations.hyperparameter_search import SearchResult as SearchResult
from jaxnn.populations.hyperparameter_search import coarse_to_fine as coarse_to_fine
from jaxnn.populations.hyperparameter_search import joined as joined
from jaxnn.populations.hyperparameter_search import search as search
from jaxnn.populations.k_folds_and_bootstraps import Split as Split
from jaxnn.populations.k_folds_and_bootstraps import bootstraps as bootstraps
from jaxnn.populations.k_folds_and_bootstraps import hold_out as hold_out
from jaxnn.populations.k_folds_and_bootstraps import k_fold as k_fold
from jaxnn.populations.k_folds_and_bootstraps import nested_parts as nested_parts
from jaxnn.populations.k_folds_and_bootstraps import stratified_k_fold as stratified_k_fold
from jaxnn.populations.learning_rate_finder import LearningRateSweep as LearningRateSweep
from jaxnn.populations.learning_rate_finder import find_learning_rate as find_learning_rate
from jaxnn.populations.member_predictions import predict_members as predict_members
from jaxnn.populations.members import Member as Member
from jaxnn.populations.members import grid as grid
from jaxnn.populations.members import members_of as members_of
from jaxnn.populations.monte_carlo_sampling import monte_carlo_dropout as monte_carlo_dropout
from jaxnn.populations.optuna_adapter import ask_and_tell as ask_and_tell
from jaxnn.populations.population import Population as Population
from jaxnn.populations.population_based import PbtResult as PbtResult
from jaxnn.populations.population_based import population_based_training as population_based_training
from jaxnn.populations.population_training import fit as fit
from jaxnn.populations.population_training import train as train
from jaxnn.populations.search_spaces import Choice as Choice
from jaxnn.populations.search_spaces import Range as Range
from jaxnn.populations.search_spaces import choice as choice
from jaxnn.populations.search_spaces import log_uniform as log_uniform
from jaxnn.populations.search_spaces import random_settings as random_settings
from jaxnn.populations.search_spaces import uniform as uniform
from jaxnn.populations.snapshots import Snapshots as Snapshots
from jaxnn.populations.snapshots import average_parameters as average_parameters
from jaxnn.populations.studies import Study as Study
from jaxnn.populations.studies import capacity_study as capacity_study
from jaxnn.populations.studies import layers_of as layers_of
from jaxnn.populations.studies import learning_curve as learning_curve
from jaxnn.populations.studies import seeds_study as seeds_study

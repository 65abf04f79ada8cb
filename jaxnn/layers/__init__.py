"""Layers are pure functions with hand-written backward passes.

Contract: `forward(params, x, **static) -> (y, residuals)` and `backward(residuals, dy, **static) -> (dparams, dx)`.
`differentiable(forward, backward)` turns the pair into one function, and `jax.grad` of this function calls `backward`.
Names in lower case are such functions. Capitalized names make a `Layer`, and `chain`, `graph` and `repeat` compose
layers into networks. Images are NHWC, kernels HWIO.
"""

from jaxnn.layers.activation_layers import ELU as ELU
from jaxnn.layers.activation_layers import GELU as GELU
from jaxnn.layers.activation_layers import Elementwise as Elementwise
from jaxnn.layers.activation_layers import ElementwiseOfInput as ElementwiseOfInput
from jaxnn.layers.activation_layers import LeakyReLU as LeakyReLU
from jaxnn.layers.activation_layers import ReLU as ReLU
from jaxnn.layers.activation_layers import ScaledTanh as ScaledTanh
from jaxnn.layers.activation_layers import Sigmoid as Sigmoid
from jaxnn.layers.activation_layers import SiLU as SiLU
from jaxnn.layers.activation_layers import Softplus as Softplus
from jaxnn.layers.activation_layers import Tanh as Tanh
from jaxnn.layers.batch_normalization import BatchNorm as BatchNorm
from jaxnn.layers.batch_normalization import BatchStatistics as BatchStatistics
from jaxnn.layers.batch_normalization import batch_norm as batch_norm
from jaxnn.layers.batch_normalization import batch_norm_inference as batch_norm_inference
from jaxnn.layers.batch_normalization import moving_average as moving_average
from jaxnn.layers.composition import LayerModel as LayerModel
from jaxnn.layers.composition import chain as chain
from jaxnn.layers.composition import graph as graph
from jaxnn.layers.convolution import LOWERINGS as LOWERINGS
from jaxnn.layers.convolution import choose_lowering as choose_lowering
from jaxnn.layers.convolution import convolve as convolve
from jaxnn.layers.convolution_layers import Convolution as Convolution
from jaxnn.layers.convolution_layers import LocallyConnected as LocallyConnected
from jaxnn.layers.convolution_layers import TransposedConvolution as TransposedConvolution
from jaxnn.layers.dense_layer import Dense as Dense
from jaxnn.layers.dense_layer import dense as dense
from jaxnn.layers.dropout_masks import Dropout as Dropout
from jaxnn.layers.dropout_masks import dropout as dropout
from jaxnn.layers.dropout_masks import unscaled_dropout as unscaled_dropout
from jaxnn.layers.dropout_masks import weight_scaled as weight_scaled
from jaxnn.layers.embedding_table import Embedding as Embedding
from jaxnn.layers.embedding_table import embed as embed
from jaxnn.layers.global_pooling import GlobalAveragePool as GlobalAveragePool
from jaxnn.layers.global_pooling import GlobalMaxPool as GlobalMaxPool
from jaxnn.layers.global_pooling import global_average_pool as global_average_pool
from jaxnn.layers.global_pooling import global_max_pool as global_max_pool
from jaxnn.layers.hand_written import Layer as Layer
from jaxnn.layers.hand_written import differentiable as differentiable
from jaxnn.layers.layer_normalization import GroupNorm as GroupNorm
from jaxnn.layers.layer_normalization import LayerNorm as LayerNorm
from jaxnn.layers.layer_normalization import RMSNorm as RMSNorm
from jaxnn.layers.layer_normalization import group_norm as group_norm
from jaxnn.layers.layer_normalization import layer_norm as layer_norm
from jaxnn.layers.layer_normalization import rms_norm as rms_norm
from jaxnn.layers.local_response_normalization import LocalResponseNorm as LocalResponseNorm
from jaxnn.layers.local_response_normalization import local_response_norm as local_response_norm
from jaxnn.layers.locally_connected_layer import connect_locally as connect_locally
from jaxnn.layers.maxout_units import Maxout as Maxout
from jaxnn.layers.maxout_units import maxout_dense as maxout_dense
from jaxnn.layers.merging_layers import Add as Add
from jaxnn.layers.merging_layers import Concatenate as Concatenate
from jaxnn.layers.merging_layers import Flatten as Flatten
from jaxnn.layers.pooling import AveragePool as AveragePool
from jaxnn.layers.pooling import MaxPool as MaxPool
from jaxnn.layers.pooling import average_pool as average_pool
from jaxnn.layers.pooling import max_pool as max_pool
from jaxnn.layers.repetition import repeat as repeat
from jaxnn.layers.softmax_head import softmax_cross_entropy as softmax_cross_entropy
from jaxnn.layers.transposed_convolution import convolve_transposed as convolve_transposed

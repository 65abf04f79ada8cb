"""Populations: the same run over seeds, hyperparameters and subsets of the data, many trainings in one program."""

from jaxnn.populations.population_training import fit as fit
from jaxnn.populations.members import Member as Member
from jaxnn.populations.members import grid as grid
from jaxnn.populations.members import members_of as members_of
from jaxnn.populations.population import Population as Population
from jaxnn.populations.subsets import Split as Split
from jaxnn.populations.subsets import bootstraps as bootstraps
from jaxnn.populations.subsets import hold_out as hold_out
from jaxnn.populations.subsets import k_fold as k_fold
from jaxnn.populations.subsets import nested_parts as nested_parts
from jaxnn.populations.subsets import stratified_k_fold as stratified_k_fold

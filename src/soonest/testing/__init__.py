"""The contracts as tests: does a policy, or a predictor, keep what every host relies on?"""

from soonest.testing.policies import check_policy
from soonest.testing.predictors import ODD_PROMPTS, check_predictor

__all__ = ["ODD_PROMPTS", "check_policy", "check_predictor"]

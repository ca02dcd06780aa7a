from doorward.integrations.sending.refusals import StepUp as StepUp
from doorward.integrations.sending.refusals import read_step_up as read_step_up

from doorward.institution.institution import Institution as Institution
from doorward.institution.session import Cleared as Cleared
from doorward.institution.session import InstitutionSession as InstitutionSession
from doorward.institution.session import Status as Status
from doorward.institution.settings import InstitutionSettings as InstitutionSettings

from doorward.papers.library import Library as Library
from doorward.papers.outcomes import Outcome as Outcome
from doorward.papers.session import DownloadSession as DownloadSession
from doorward.papers.settings import DownloadSettings as DownloadSettings

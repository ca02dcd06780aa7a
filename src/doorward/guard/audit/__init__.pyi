from doorward.guard.audit.decisions import Decision as Decision
from doorward.guard.audit.log import AuditLog as AuditLog
from doorward.journal.last_lines import follow as follow
from doorward.journal.last_lines import tail as tail
from doorward.journal.stream_verification import StreamVerification as StreamVerification
from doorward.journal.stream_verification import verify_stream as verify_stream
from doorward.journal.verification import Verification as Verification
from doorward.journal.verification import verify as verify

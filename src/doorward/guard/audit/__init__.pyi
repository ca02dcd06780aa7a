from doorward.guard.audit.chain import Decision as Decision
from doorward.guard.audit.last_lines import follow as follow
from doorward.guard.audit.last_lines import tail as tail
from doorward.guard.audit.log import AuditLog as AuditLog
from doorward.guard.audit.stream_verification import StreamVerification as StreamVerification
from doorward.guard.audit.stream_verification import verify_stream as verify_stream
from doorward.guard.audit.verification import Verification as Verification
from doorward.guard.audit.verification import verify as verify

"""A Flight server on loopback that tells which token each call brought, and refuses some. For tests of clients."""

from __future__ import annotations

import pyarrow as pa
from pyarrow import flight

TABLE = pa.table({"order": [1, 2, 3]})


class Server(flight.FlightServerBase):
    """``seen`` holds method and authorization of each call. Those in ``refuses`` are refused as unauthenticated."""

    def __init__(self, refuses=(), **options):
        self.seen, self.refuses = [], set(refuses)
        scheme = "grpc+tls" if "tls_certificates" in options else "grpc"
        super().__init__(f"{scheme}://127.0.0.1:0", middleware={"tokens": _Tokens(self.seen, self.refuses)}, **options)
        self.location = f"{scheme}://127.0.0.1:{self.port}"
        self.origin = self.location.replace("grpc+tls", "https").replace("grpc", "http")

    def list_flights(self, context, criteria):
        yield self._info(flight.FlightDescriptor.for_path("orders"))

    def get_flight_info(self, context, descriptor):
        return self._info(descriptor)

    def get_schema(self, context, descriptor):
        return flight.SchemaResult(TABLE.schema)

    def list_actions(self, context):
        return [("count", "how many")]

    def do_action(self, context, action):
        yield flight.Result(b"3")

    def do_get(self, context, ticket):
        return flight.RecordBatchStream(TABLE)

    def do_put(self, context, descriptor, reader, writer):
        reader.read_all()

    def do_exchange(self, context, descriptor, reader, writer):
        reader.read_all()
        writer.begin(TABLE.schema)
        writer.write_table(TABLE)

    def _info(self, descriptor):
        return flight.FlightInfo(TABLE.schema, descriptor, [flight.FlightEndpoint(b"orders", [])], 3, 0)


class _Tokens(flight.ServerMiddlewareFactory):
    def __init__(self, seen, refuses):
        super().__init__()
        self.seen, self.refuses = seen, refuses

    def start_call(self, info, headers):
        authorization = headers.get("authorization", [None])[0]
        self.seen.append((info.method.name, authorization))
        if authorization in self.refuses:
            raise flight.FlightUnauthenticatedError("no")

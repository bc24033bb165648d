"""The smallest gRPC server that says SERVING: the floor of start-up."""

from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from benchmarks import child


async def _job(config: dict[str, Any]) -> None:
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(config["listen"])
    await server.start()
    await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    await child.until_parent_leaves()
    await server.stop(1.0)


if __name__ == "__main__":
    child.run(_job)

"""A madrpc service on the machines of a Dask cluster.

::

    from dask.distributed import Client
    import madrpc.dask

    with Client() as dask, madrpc.dask.deploy(dask, "pi.js") as client:
        client.call("monte_carlo_sample", {"samples": 1000, "seed": 7})

Needs the extra ``dask``; importing ``madrpc`` alone does not import this package.
"""

try:
    import distributed as _distributed  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "madrpc.dask needs dask.distributed; install it with: pip install 'madrpc[dask]'",
        name=error.name,
    ) from error

from madrpc.dask.deployment import Deployment, deploy

__all__ = ["Deployment", "deploy"]

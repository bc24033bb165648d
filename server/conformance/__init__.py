"""The conformance suite: what every module must prove, told from its contract alone.

A module's tests hold one class, and pytest runs the whole suite for the module:

    class TestStatusboard(Conformance):
        bench = Bench(provider="statusboard", vendor=create_app, settings=settings, register=register)
        golden = Path(__file__).parent / "catalog.json"

`Bench` is in `bench`, `Conformance` in `suite`, which needs the extra `patchbay[conformance]`. The server runs as a
process of its own on an embedded database, the vendor behind the control plane of `sandbox`.
"""

// The name that bundles made for browsers and workers know the global object by.
(function __madrpc_self() {
  return {self: globalThis};
});

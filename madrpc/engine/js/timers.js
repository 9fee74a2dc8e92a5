// setTimeout and its family. Nothing here waits: the engine asks how long until the next timer
// (pieces.next) and calls back when that has passed (pieces.fire).
//
// Timers fire in the order of `due`, which is counted from an instant that stands still while the
// script runs, and of their creation where that is equal. So the order is the same however fast the
// machine is. `ready` keeps a timer from firing before its time has really passed.
(function __madrpc_timers(pieces) {
  const began = pieces.now();
  const timers = {__proto__: null};
  const heap = [];
  let created = 0,
    instant = 0,
    stale = false,
    skew = 0,
    lastOfBatch = 0,
    limit = 0;

  const real = () => pieces.now() - began + skew;
  const later = (a, b) => (a > b ? a : b);
  const before = (a, b) => a.due < b.due || (a.due === b.due && a.order < b.order);

  function push(timer) {
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (before(heap[parent], timer)) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = timer;
  }

  function pop() {
    const last = heap[heap.length - 1];
    heap.length--;
    const size = heap.length;
    if (size === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && before(heap[child + 1], heap[child])) child++;
      if (before(last, heap[child])) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = last;
  }

  function head() {
    while (heap.length > 0 && heap[0].fn === null) pop();
    return heap[0];
  }

  function schedule(timer, ms) {
    if (stale) {
      instant = later(instant, real());
      stale = false;
    }
    timer.order = ++created;
    timer.due = instant + ms;
    timer.ready = real() + ms;
    push(timer);
  }

  function __madrpc_start(name, fn, ms, args, repeats) {
    if (typeof fn !== 'function') throw new TypeError(`${name}(fn, ms): fn must be a function`);
    ms = +ms;
    ms = ms > 0 ? (ms < 2147483647 ? ms | 0 : 2147483647) : 0;
    const timer = {id: created + 1, fn, args, every: repeats ? later(ms, 1) : 0};
    timers[timer.id] = timer;
    schedule(timer, ms);
    return timer.id;
  }

  function cancel(id) {
    const timer = timers[id];
    if (timer === undefined) return;
    delete timers[timer.id];
    timer.fn = null;
  }

  pieces.next = () => {
    stale = true;
    const timer = head();
    return timer === undefined ? -1 : later(0, timer.ready - real());
  };

  // Fires one timer of those that were due when `first` was true. Value: 0 if there was none, 1 if it
  // ran, 2 if it threw. The caller vouches that the time `next` told has passed.
  pieces.fire = function __madrpc_fire(first) {
    const timer = head();
    if (timer === undefined) return 0;
    if (first) {
      lastOfBatch = created;
      skew += later(0, timer.ready - real());
      limit = later(real(), timer.ready);
    }
    if (timer.order > lastOfBatch || timer.ready > limit) return 0;
    pop();
    instant = later(instant, timer.due);
    stale = false;
    const {fn, args} = timer;
    if (timer.every > 0) schedule(timer, timer.every);
    else delete timers[timer.id];
    try {
      fn(...args);
      return 1;
    } catch (error) {
      pieces.thrown = error;
      return 2;
    }
  };

  return {
    setTimeout: function __madrpc_setTimeout(fn, ms, ...args) {
      return __madrpc_start('setTimeout', fn, ms, args, false);
    },
    setInterval: function __madrpc_setInterval(fn, ms, ...args) {
      return __madrpc_start('setInterval', fn, ms, args, true);
    },
    clearTimeout: id => cancel(id),
    clearInterval: id => cancel(id),
  };
});

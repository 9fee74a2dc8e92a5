"""JavaScript that runs around a user's script.

``HOST`` is evaluated in every fresh context, so it is as short as it can be: the engine compiles
source anew for each context, at about 4 us per 100 characters. What a call needs only now and then
is compiled when it is needed. It relies on syntax and on the built-ins that ``HOST`` kept, because
by then the user's script may have replaced the global ones.

A function named ``__madrpc...`` marks a frame that stack traces leave out.
"""

from typing import Final

__all__ = [
    "ASYNC",
    "CALL",
    "ERROR",
    "HOST",
    "IS_UNDEFINED",
    "PENDING",
    "REGISTER_CHECKS",
    "STRINGIFY_THREW",
    "THREW",
]

#: What the host function returns instead of a JSON text: the function returned a promise; it
#: threw; writing its result as JSON threw. None means that the result has no JSON form.
PENDING: Final = 0
THREW: Final = 1
STRINGIFY_THREW: Final = 2

#: Value: the host function. ``host(name, json)`` runs a registered function and returns its result
#: as JSON text, or one of the numbers above. ``host(helper)`` calls ``helper`` with the last value
#: returned or thrown and the pristine ``JSON.stringify``.
HOST = """(()=>{const p=JSON.parse,s=JSON.stringify,f={__proto__:null};let x;\
globalThis.madrpc={register(n,g){f[n]=g}};\
return function __madrpc(n,j){if(!j)return n(x,s);let k=1;\
try{x=f[n](p(j));if(x&&x.then)return 0;k=2;return s(x)}catch(e){x=e;return k}}})()"""

#: Helper: whether the value is undefined, which becomes nil, and not a function or a symbol.
IS_UNDEFINED = "(function __madrpc_is_undefined(x){return x===undefined})"

#: Helper: follows a promise. Its value is a function like the host function: called with nothing it
#: tells how far the promise is, called with a helper it passes the settled value on.
ASYNC = """(function __madrpc_follow(x,s){let r=0,v;
(async function __madrpc_await(){let k=1;try{v=await x;k=2;r=s(v)}catch(e){v=e;r=k}})();
return function __madrpc_poll(n){return n?n(v,s):r}})"""

#: Helper: the thrown value as name, message and stack, each JSON text, on three lines; a part that
#: cannot be read is empty. The fourth line tells null from everything else. All that is one JSON
#: text again, because a long text put together from others is a rope, which the binding refuses.
ERROR = """(function __madrpc_error(e,s){const g=f=>{try{return s(`${f()}`)}catch(_){return '""'}};
const o=e!==null&&(typeof e==='object'||typeof e==='function');
return s(g(()=>o&&e.name!==undefined?e.name:'')+'\\n'
+g(()=>o&&e.message!==undefined?e.message:typeof e==='symbol'?e.description:e)+'\\n'
+g(()=>o&&e.stack!==undefined?e.stack:'')+'\\n'+(e===null?1:0))})"""

#: Adds ``madrpc.call``; evaluated before the script, and only for scripts that mention it. Value: a
#: function that, called with nothing, returns the calls queued since last time as JSON text, and,
#: called with an id, settles that call.
CALL = """(()=>{const P=Promise,s=JSON.stringify,p=JSON.parse,E=Error,w={__proto__:null};
let q='',i=0;
madrpc.call=function __madrpc_call(n,a){return new P((y,z)=>{
if(typeof n!=='string')throw new TypeError('madrpc.call(name, args): name must be a string');
const j=a===undefined?'{}':s(a);
if(j===undefined||j[0]!=='{')throw new TypeError('madrpc.call(name, args): args must be an object');
w[++i]=[y,z];q+=(q?',[':'[')+i+','+s(n)+','+s(j)+']'})};
return function __madrpc_calls(i,ok,j){if(!i){const t='['+q+']';q='';return t}
const c=w[i];delete w[i];const v=p(j);if(ok)return void c[0](v);
const e=new E(v.message);e.name=v.name;e.code=v.code;e.data=v.data;c[1](e)}})()"""

#: Evaluated when a script is loaded for the first time: registration with every check. Value: a
#: function that returns the registered names as JSON text.
REGISTER_CHECKS = """(()=>{const s=JSON.stringify,m=madrpc.register,h={__proto__:null};let o='';
const at='madrpc.register';
madrpc.register=function __madrpc_register(name,fn){
if(typeof name!=='string'||name==='')
throw new TypeError(`${at}(name, fn): name must be a string that is not empty`);
if(name[0]==='_')
throw new TypeError(`${at}: ${s(name)} begins with _, which is kept for built-in methods`);
if(typeof fn!=='function')throw new TypeError(`${at}(${s(name)}, fn): fn must be a function`);
if(h[name])throw new Error(`${at}: ${s(name)} is registered twice`);
h[name]=true;o+=(o?',':'')+s(name);m(name,fn)};
return function __madrpc_names(){return '['+o+']'}})()"""

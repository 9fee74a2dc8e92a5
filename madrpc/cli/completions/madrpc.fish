# Completion of madrpc's command line; made from its parsers by 'make completions'.

function __madrpc_addresses
  if set -q MADRPC_TARGET
    echo $MADRPC_TARGET
  else
    echo 127.0.0.1:8080
  end
end

function __madrpc_methods
  set -l words (commandline -opc)
  set -l address (string match -r -- '^[^-].*:[0-9].*$' $words)[1]
  test -n "$address"; or set address $words[-1]
  madrpc methods --names -t 1 $address 2>/dev/null | string match -r -- '^[A-Za-z0-9_.-]+$'
end

# End Custom Preamble

# Parse current commandline:
# - _shtab_madrpc_cmdpath=(sub)command path seen so far
# - _shtab_madrpc_npos=number of positional arguments given after it
# - options are skipped based on _shtab_madrpc_opts_with_value & _shtab_madrpc_commands lists
function _shtab_madrpc_scan
  set -g _shtab_madrpc_cmdpath ''
  set -g _shtab_madrpc_npos 0
  set -l tokens (commandline -opc)
  set -e tokens[1]
  set -l expect_value 0
  for t in $tokens
    if test $expect_value -eq 1
      set expect_value 0
      continue
    end
    switch "$t"
      case '--*=*'
        continue
      case '-*'
        if contains -- $t $_shtab_madrpc_opts_with_value
          set expect_value 1
        end
        continue
      case '*'
        if test $_shtab_madrpc_npos -eq 0
          set -l candidate $t
          if test -n "$_shtab_madrpc_cmdpath"
            set candidate "$_shtab_madrpc_cmdpath $t"
          end
          if contains -- $candidate $_shtab_madrpc_commands
            set -g _shtab_madrpc_cmdpath $candidate
            continue
          end
        end
        set -g _shtab_madrpc_npos (math $_shtab_madrpc_npos + 1)
    end
  end
end

# Condition helper: true if the current (sub)command path equals the given one.
function _shtab_madrpc_using
  _shtab_madrpc_scan
  test "$_shtab_madrpc_cmdpath" = "$argv"
end

set -g _shtab_madrpc_commands node orchestrator up call map top bench check run info health methods deploy doctor tls init types completion orch
set -g _shtab_madrpc_opts_with_value --advertise --arg --args --auth-token-file --balance --bind --calls --canary --concurrency --days --drain-timeout --duration --engine --fail-if --http --interval --isolation --log-format --log-level --max-frame --memory-limit --name --node --nodes --orchestrator --pool-size --queue-size --rate --rate-limit --sandbox --save --script --seed --set --time-limit --timeout --tls-ca --tls-cert --tls-key --trace --warmup -b -c -d -i -n -r -s -t

complete -c madrpc -e
complete -c madrpc -f

complete -c madrpc -n _shtab_madrpc_using -s h -l help -d 'show this help message and exit'
complete -c madrpc -n _shtab_madrpc_using -l version -d 'show program'"'"'s version number and exit'
complete -c madrpc -n '_shtab_madrpc_using; and test $_shtab_madrpc_npos -eq 0' -a node -d 'run a compute node'
complete -c madrpc -n '_shtab_madrpc_using node' -s h -l help -d 'show this help message and exit'
complete -c madrpc -n '_shtab_madrpc_using node' -s v -l verbose -d 'show full stacks and tracebacks of errors'
complete -c madrpc -n '_shtab_madrpc_using node' -s s -l script -xka "(__fish_complete_path (commandline -ct))" -d 'JavaScript file to load; may be repeated (environment: MADRPC_SCRIPT)'
complete -c madrpc -n '_shtab_madrpc_using node' -s b -l bind -x -d 'address to listen on; port 0 takes a free one and prints it (default: 0.0.0.0:0; environment: MADRPC_BIND)'
complete -c madrpc -n '_shtab_madrpc_using node' -l pool-size -x -d 'worker processes (default: twice the usable processors; environment: MADRPC_POOL_SIZE)'
complete -c madrpc -n '_shtab_madrpc_using node' -l time-limit -x -d 'seconds one call may run; the caller'"'"'s deadline shortens it (default: 30.0; environment: MADRPC_TIME_LIMIT)'
complete -c madrpc -n '_shtab_madrpc_using node' -l memory-limit -x -d 'JavaScript heap of one call, in MiB (default: 64.0; environment: MADRPC_MEMORY_LIMIT)'
complete -c madrpc -n '_shtab_madrpc_using node' -l queue-size -x -d 'calls that may wait for a worker before callers are told to come back later (default: 1024, or 16 for each worker if that is more; environment: MADRPC_QUEUE_SIZE)'
complete -c madrpc -n '_shtab_madrpc_using node' -l engine -xka "quickjs v8" -d 'what runs the scripts: quickjs is quick to begin a call, v8 compiles, so that long loops run many times faster; v8 needs pip install '"'"'madrpc[v8]'"'"' (default: quickjs; environment: MADRPC_ENGINE)'
complete -c madrpc -n '_shtab_madrpc_using node' -l orchestrator -x -d 'orchestrator to register with; calls made by functions go through it, to run on any of its nodes; may be repeated (environment: MADRPC_ORCHESTRATOR)'
complete -c madrpc -n '_shtab_madrpc_using node' -l advertise -x -d 'address under which the orchestrators reach this node (default: the address bound, or the one the connection comes from; environment: MADRPC_ADVERTISE)'
complete -c madrpc -n '_shtab_madrpc_using node' -l isolation -xka "auto context snapshot" -d 'how calls are kept apart: context loads the scripts anew for each call, snapshot forks a process that has them loaded, auto takes what is faster for these scripts (default: auto; environment: MADRPC_ISOLATION)'
complete -c madrpc -n '_shtab_madrpc_using node' -l sandbox -xka "auto off require" -d 'whether the kernel keeps worker processes from files, sockets and other processes (seccomp): auto where it can, require refuses to start where it cannot (default: auto; environment: MADRPC_SANDBOX)'
complete -c madrpc -n '_shtab_madrpc_using node' -l allow-deploy -d 'take scripts that '"'"'madrpc deploy'"'"' sends; a node bound to loopback does so anyway, any other also needs --auth-token-file or --tls-ca (environment: MADRPC_ALLOW_DEPLOY)'
complete -c madrpc -n '_shtab_madrpc_using node' -l watch -d 'load the scripts anew whenever their files change, as SIGHUP does; of a script that does not load, the mistake is shown and the old code stays (environment: MADRPC_WATCH)'
complete -c madrpc -n '_shtab_madrpc_using node' -l max-frame -x -d 'largest message taken and sent (default: 16777216; environment: MADRPC_MAX_FRAME)'
complete -c madrpc -n '_shtab_madrpc_using node' -l drain-timeout -x -d 'seconds that accepted calls get to finish after SIGTERM (default: 30.0; environment: MADRPC_DRAIN_TIMEOUT)'
complete -c madrpc -n '_shtab_madrpc_using node' -l auth-token-file -xka "(__fish_complete_path (commandline -ct))" -d 'file whose first line callers must show this server (environment: MADRPC_AUTH_TOKEN_FILE)'
complete -c madrpc -n '_shtab_madrpc_using node' -l tls-cert -xka "(__fish_complete_path (commandline -ct))" -d 'this server'"'"'s certificate; with it, connections use TLS (PEM) (environment: MADRPC_TLS_CERT)'
complete -c madrpc -n '_shtab_madrpc_using node' -l tls-key -xka "(__fish_complete_path (commandline -ct))" -d 'its private key, if not in the same file (PEM) (environment: MADRPC_TLS_KEY)'
complete -c madrpc -n '_shtab_madrpc_using node' -l tls-ca -xka "(__fish_complete_path (commandline -ct))" -d 'authority that certificates must come from; callers then need one too (PEM) (environment: MADRPC_TLS_CA)'
complete -c madrpc -n '_shtab_madrpc_using node' -l http -x -d 'address of the dashboard, JSON-RPC 2.0, metrics and health; port 0 takes a free one (environment: MADRPC_HTTP)'
complete -c madrpc -n '_shtab_madrpc_using node' -l rate-limit -x -d 'calls a second that one client address may make; more are told to come back later (environment: MADRPC_RATE_LIMIT)'
complete -c madrpc -n '_shtab_madrpc_using node' -l log-level -xka "debug info warning error" -d 'least important message that is logged (default: info; environment: MADRPC_LOG_LEVEL)'
complete -c madrpc -n '_shtab_madrpc_using node' -l log-format -xka "text json" -d 'form of a log line on stderr (default: text; environment: MADRPC_LOG_FORMAT)'
complete -c madrpc -n '_shtab_madrpc_using; and test $_shtab_madrpc_npos -eq 0' -a orchestrator -d 'forward calls to nodes'
complete -c madrpc -n '_shtab_madrpc_using orchestrator' -s h -l help -d 'show this help message and exit'
complete -c madrpc -n '_shtab_madrpc_using orchestrator' -s v -l verbose -d 'show full stacks and tracebacks of errors'
complete -c madrpc -n '_shtab_madrpc_using orchestrator' -s b -l bind -x -d 'address to listen on; port 0 takes a free one and prints it (default: 0.0.0.0:8080; environment: MADRPC_BIND)'
complete -c madrpc -n '_shtab_madrpc_using orchestrator' -s n -l node -x -d 'address of a node, or file:PATH with one on each line, read again when it changes, or dns://NAME:PORT for every address of a name; may be repeated; nodes may also register themselves, with their --orchestrator (environment: MADRPC_NODE)'
complete -c madrpc -n '_shtab_madrpc_using orchestrator' -l balance -xka "round-robin least-busy" -d 'how calls are shared out: to the nodes in turn, or to the one with the fewest calls for each of its workers (default: round-robin; environment: MADRPC_BALANCE)'
complete -c madrpc -n '_shtab_madrpc_using orchestrator' -l max-frame -x -d 'largest message taken and sent (default: 16777216; environment: MADRPC_MAX_FRAME)'
complete -c madrpc -n '_shtab_madrpc_using orchestrator' -l drain-timeout -x -d 'seconds that accepted calls get to finish after SIGTERM (default: 30.0; environment: MADRPC_DRAIN_TIMEOUT)'
complete -c madrpc -n '_shtab_madrpc_using orchestrator' -l auth-token-file -xka "(__fish_complete_path (commandline -ct))" -d 'file whose first line callers must show this server (environment: MADRPC_AUTH_TOKEN_FILE)'
complete -c madrpc -n '_shtab_madrpc_using orchestrator' -l tls-cert -xka "(__fish_complete_path (commandline -ct))" -d 'this server'"'"'s certificate; with it, connections use TLS (PEM) (environment: MADRPC_TLS_CERT)'
complete -c madrpc -n '_shtab_madrpc_using orchestrator' -l tls-key -xka "(__fish_complete_path (commandline -ct))" -d 'its private key, if not in the same file (PEM) (environment: MADRPC_TLS_KEY)'
complete -c madrpc -n '_shtab_madrpc_using orchestrator' -l tls-ca -xka "(__fish_complete_path (commandline -ct))" -d 'authority that certificates must come from; callers then need one too (PEM) (environment: MADRPC_TLS_CA)'
complete -c madrpc -n '_shtab_madrpc_using orchestrator' -l http -x -d 'address of the dashboard, JSON-RPC 2.0, metrics and health; port 0 takes a free one (environment: MADRPC_HTTP)'
complete -c madrpc -n '_shtab_madrpc_using orchestrator' -l rate-limit -x -d 'calls a second that one client address may make; more are told to come back later (environment: MADRPC_RATE_LIMIT)'
complete -c madrpc -n '_shtab_madrpc_using orchestrator' -l log-level -xka "debug info warning error" -d 'least important message that is logged (default: info; environment: MADRPC_LOG_LEVEL)'
complete -c madrpc -n '_shtab_madrpc_using orchestrator' -l log-format -xka "text json" -d 'form of a log line on stderr (default: text; environment: MADRPC_LOG_FORMAT)'
complete -c madrpc -n '_shtab_madrpc_using; and test $_shtab_madrpc_npos -eq 0' -a up -d 'run an orchestrator and nodes on this machine'
complete -c madrpc -n '_shtab_madrpc_using up' -s h -l help -d 'show this help message and exit'
complete -c madrpc -n '_shtab_madrpc_using up' -s v -l verbose -d 'show full stacks and tracebacks of errors'
complete -c madrpc -n '_shtab_madrpc_using up' -s b -l bind -x -d 'address of the orchestrator; port 0 takes a free one and prints it (default: 127.0.0.1:8080; environment: MADRPC_BIND)'
complete -c madrpc -n '_shtab_madrpc_using up' -l nodes -x -d 'nodes to start (default: 1; environment: MADRPC_NODES)'
complete -c madrpc -n '_shtab_madrpc_using up' -l pool-size -x -d 'worker processes of each node (default: twice the usable processors, shared out over the nodes; environment: MADRPC_POOL_SIZE)'
complete -c madrpc -n '_shtab_madrpc_using up' -l engine -xka "quickjs v8" -d 'what runs the scripts: quickjs is quick to begin a call, v8 compiles, so that long loops run many times faster; v8 needs pip install '"'"'madrpc[v8]'"'"' (default: quickjs; environment: MADRPC_ENGINE)'
complete -c madrpc -n '_shtab_madrpc_using up' -l allow-deploy -d 'take scripts that '"'"'madrpc deploy'"'"' sends; a node bound to loopback does so anyway, any other also needs --auth-token-file or --tls-ca (environment: MADRPC_ALLOW_DEPLOY)'
complete -c madrpc -n '_shtab_madrpc_using up' -l watch -d 'load the scripts anew whenever their files change, as SIGHUP does; of a script that does not load, the mistake is shown and the old code stays (environment: MADRPC_WATCH)'
complete -c madrpc -n '_shtab_madrpc_using up' -l balance -xka "round-robin least-busy" -d 'how calls are shared out: to the nodes in turn, or to the one with the fewest calls for each of its workers (default: round-robin; environment: MADRPC_BALANCE)'
complete -c madrpc -n '_shtab_madrpc_using up' -l http -x -d 'address of the dashboard, JSON-RPC 2.0, metrics and health; port 0 takes a free one (environment: MADRPC_HTTP)'
complete -c madrpc -n '_shtab_madrpc_using up; and test $_shtab_madrpc_npos -ge 0' -ka "(__fish_complete_path (commandline -ct))" -d 'JavaScript file to load'
complete -c madrpc -n '_shtab_madrpc_using; and test $_shtab_madrpc_npos -eq 0' -a call -d 'call one function'
complete -c madrpc -n '_shtab_madrpc_using call' -s h -l help -d 'show this help message and exit'
complete -c madrpc -n '_shtab_madrpc_using call' -s v -l verbose -d 'show full stacks and tracebacks of errors'
complete -c madrpc -n '_shtab_madrpc_using call' -s t -l timeout -x -d 'seconds until the call gives up (default: 60.0; environment: MADRPC_TIMEOUT)'
complete -c madrpc -n '_shtab_madrpc_using call' -l auth-token-file -xka "(__fish_complete_path (commandline -ct))" -d 'file whose first line the server wants (environment: MADRPC_AUTH_TOKEN_FILE)'
complete -c madrpc -n '_shtab_madrpc_using call' -l tls-cert -xka "(__fish_complete_path (commandline -ct))" -d 'this client'"'"'s certificate, for servers that want one (PEM) (environment: MADRPC_TLS_CERT)'
complete -c madrpc -n '_shtab_madrpc_using call' -l tls-key -xka "(__fish_complete_path (commandline -ct))" -d 'its private key, if not in the same file (PEM) (environment: MADRPC_TLS_KEY)'
complete -c madrpc -n '_shtab_madrpc_using call' -l tls-ca -xka "(__fish_complete_path (commandline -ct))" -d 'authority that the server'"'"'s certificate must come from; with it, the connection uses TLS (PEM) (environment: MADRPC_TLS_CA)'
complete -c madrpc -n '_shtab_madrpc_using call' -l seed -x -d 'make Math.random reproducible'
complete -c madrpc -n '_shtab_madrpc_using call' -l time -d 'tell on stderr where the time of the call went'
complete -c madrpc -n '_shtab_madrpc_using call' -l trace -x -d 'a W3C traceparent; it goes with the call into the servers'"'"' logs'
complete -c madrpc -n '_shtab_madrpc_using call; and test $_shtab_madrpc_npos -eq 0' -ka "(__madrpc_addresses)" -d 'HOST:PORT of an orchestrator or a node'
complete -c madrpc -n '_shtab_madrpc_using call; and test $_shtab_madrpc_npos -eq 1' -ka "(__madrpc_methods)" -d 'name of the function'
complete -c madrpc -n '_shtab_madrpc_using; and test $_shtab_madrpc_npos -eq 0' -a map -d 'call one function for each line of input'
complete -c madrpc -n '_shtab_madrpc_using map' -s h -l help -d 'show this help message and exit'
complete -c madrpc -n '_shtab_madrpc_using map' -s v -l verbose -d 'show full stacks and tracebacks of errors'
complete -c madrpc -n '_shtab_madrpc_using map' -s c -l concurrency -x -d 'calls in flight at once; the input is read no further ahead (default: 64)'
complete -c madrpc -n '_shtab_madrpc_using map' -l arg -x -d 'pass each line'"'"'s value, whatever it is, as this argument'
complete -c madrpc -n '_shtab_madrpc_using map' -l set -x -d 'an argument of every call; may be repeated'
complete -c madrpc -n '_shtab_madrpc_using map' -l unordered -d 'print results as they come'
complete -c madrpc -n '_shtab_madrpc_using map' -l keep-going -d 'print {"error": ...} for a call that failed and go on; the exit status is 1 then'
complete -c madrpc -n '_shtab_madrpc_using map' -s q -l quiet -d 'tell no progress on stderr'
complete -c madrpc -n '_shtab_madrpc_using map' -s t -l timeout -x -d 'seconds until the call gives up (default: 60.0; environment: MADRPC_TIMEOUT)'
complete -c madrpc -n '_shtab_madrpc_using map' -l auth-token-file -xka "(__fish_complete_path (commandline -ct))" -d 'file whose first line the server wants (environment: MADRPC_AUTH_TOKEN_FILE)'
complete -c madrpc -n '_shtab_madrpc_using map' -l tls-cert -xka "(__fish_complete_path (commandline -ct))" -d 'this client'"'"'s certificate, for servers that want one (PEM) (environment: MADRPC_TLS_CERT)'
complete -c madrpc -n '_shtab_madrpc_using map' -l tls-key -xka "(__fish_complete_path (commandline -ct))" -d 'its private key, if not in the same file (PEM) (environment: MADRPC_TLS_KEY)'
complete -c madrpc -n '_shtab_madrpc_using map' -l tls-ca -xka "(__fish_complete_path (commandline -ct))" -d 'authority that the server'"'"'s certificate must come from; with it, the connection uses TLS (PEM) (environment: MADRPC_TLS_CA)'
complete -c madrpc -n '_shtab_madrpc_using map' -l time -d 'tell on stderr at the end where the time of all calls went'
complete -c madrpc -n '_shtab_madrpc_using map' -l trace -x -d 'a W3C traceparent; it goes with the call into the servers'"'"' logs'
complete -c madrpc -n '_shtab_madrpc_using map; and test $_shtab_madrpc_npos -eq 0' -ka "(__madrpc_addresses)" -d 'HOST:PORT of an orchestrator or a node'
complete -c madrpc -n '_shtab_madrpc_using map; and test $_shtab_madrpc_npos -eq 1' -ka "(__madrpc_methods)" -d 'name of the function'
complete -c madrpc -n '_shtab_madrpc_using; and test $_shtab_madrpc_npos -eq 0' -a top -d 'watch a server and its nodes as they work'
complete -c madrpc -n '_shtab_madrpc_using top' -s h -l help -d 'show this help message and exit'
complete -c madrpc -n '_shtab_madrpc_using top' -s v -l verbose -d 'show full stacks and tracebacks of errors'
complete -c madrpc -n '_shtab_madrpc_using top' -s i -l interval -x -d 'milliseconds between two readings (default: 250; environment: MADRPC_INTERVAL)'
complete -c madrpc -n '_shtab_madrpc_using top' -l once -d 'print what happened between two readings, one interval apart, and end'
complete -c madrpc -n '_shtab_madrpc_using top' -l json -d 'print one JSON object for each interval'
complete -c madrpc -n '_shtab_madrpc_using top' -l plain -d 'plain text where the full screen would do'
complete -c madrpc -n '_shtab_madrpc_using top' -s t -l timeout -x -d 'seconds until the call gives up (default: 5.0; environment: MADRPC_TIMEOUT)'
complete -c madrpc -n '_shtab_madrpc_using top' -l auth-token-file -xka "(__fish_complete_path (commandline -ct))" -d 'file whose first line the server wants (environment: MADRPC_AUTH_TOKEN_FILE)'
complete -c madrpc -n '_shtab_madrpc_using top' -l tls-cert -xka "(__fish_complete_path (commandline -ct))" -d 'this client'"'"'s certificate, for servers that want one (PEM) (environment: MADRPC_TLS_CERT)'
complete -c madrpc -n '_shtab_madrpc_using top' -l tls-key -xka "(__fish_complete_path (commandline -ct))" -d 'its private key, if not in the same file (PEM) (environment: MADRPC_TLS_KEY)'
complete -c madrpc -n '_shtab_madrpc_using top' -l tls-ca -xka "(__fish_complete_path (commandline -ct))" -d 'authority that the server'"'"'s certificate must come from; with it, the connection uses TLS (PEM) (environment: MADRPC_TLS_CA)'
complete -c madrpc -n '_shtab_madrpc_using top; and test $_shtab_madrpc_npos -eq 0' -ka "(__madrpc_addresses)" -d 'HOST:PORT of an orchestrator or a node'
complete -c madrpc -n '_shtab_madrpc_using; and test $_shtab_madrpc_npos -eq 0' -a bench -d 'put load on a function and measure'
complete -c madrpc -n '_shtab_madrpc_using bench' -s h -l help -d 'show this help message and exit'
complete -c madrpc -n '_shtab_madrpc_using bench' -s v -l verbose -d 'show full stacks and tracebacks of errors'
complete -c madrpc -n '_shtab_madrpc_using bench' -l args -x -d 'arguments of the function as one object'
complete -c madrpc -n '_shtab_madrpc_using bench' -s c -l concurrency -x -d 'calls in flight at once (default: 16)'
complete -c madrpc -n '_shtab_madrpc_using bench' -s r -l rate -x -d 'calls to begin in each second'
complete -c madrpc -n '_shtab_madrpc_using bench' -s n -l calls -x -d 'stop after so many calls'
complete -c madrpc -n '_shtab_madrpc_using bench' -s d -l duration -x -d 'stop after so many seconds (default: 10, without -n)'
complete -c madrpc -n '_shtab_madrpc_using bench' -l warmup -x -d 'seconds of load before that, which do not count (default: 1)'
complete -c madrpc -n '_shtab_madrpc_using bench' -l fail-if -x -d 'exit with 5 if this is so; p95>50ms, errors>0.1%, rate<1000; may be repeated'
complete -c madrpc -n '_shtab_madrpc_using bench' -l json -d 'print the figures as JSON'
complete -c madrpc -n '_shtab_madrpc_using bench' -l save -xka "(__fish_complete_path (commandline -ct))" -d 'write the figures to a file as JSON'
complete -c madrpc -n '_shtab_madrpc_using bench' -s t -l timeout -x -d 'seconds until the call gives up (default: 60.0; environment: MADRPC_TIMEOUT)'
complete -c madrpc -n '_shtab_madrpc_using bench' -l auth-token-file -xka "(__fish_complete_path (commandline -ct))" -d 'file whose first line the server wants (environment: MADRPC_AUTH_TOKEN_FILE)'
complete -c madrpc -n '_shtab_madrpc_using bench' -l tls-cert -xka "(__fish_complete_path (commandline -ct))" -d 'this client'"'"'s certificate, for servers that want one (PEM) (environment: MADRPC_TLS_CERT)'
complete -c madrpc -n '_shtab_madrpc_using bench' -l tls-key -xka "(__fish_complete_path (commandline -ct))" -d 'its private key, if not in the same file (PEM) (environment: MADRPC_TLS_KEY)'
complete -c madrpc -n '_shtab_madrpc_using bench' -l tls-ca -xka "(__fish_complete_path (commandline -ct))" -d 'authority that the server'"'"'s certificate must come from; with it, the connection uses TLS (PEM) (environment: MADRPC_TLS_CA)'
complete -c madrpc -n '_shtab_madrpc_using bench; and test $_shtab_madrpc_npos -eq 0' -ka "(__madrpc_addresses)" -d 'HOST:PORT of an orchestrator or a node'
complete -c madrpc -n '_shtab_madrpc_using bench; and test $_shtab_madrpc_npos -ge 1' -ka "(__madrpc_methods)" -d 'name of the function, and arguments of the function: one JSON object, or key=value pairs whose values are JSON or else text, or @FILE with a JSON object, or - for JSON on standard input'
complete -c madrpc -n '_shtab_madrpc_using; and test $_shtab_madrpc_npos -eq 0' -a check -d 'load a script and list its functions'
complete -c madrpc -n '_shtab_madrpc_using check' -s h -l help -d 'show this help message and exit'
complete -c madrpc -n '_shtab_madrpc_using check' -s v -l verbose -d 'show full stacks and tracebacks of errors'
complete -c madrpc -n '_shtab_madrpc_using check' -l engine -xka "quickjs v8" -d 'what runs the scripts: quickjs is quick to begin a call, v8 compiles, so that long loops run many times faster; v8 needs pip install '"'"'madrpc[v8]'"'"' (default: quickjs; environment: MADRPC_ENGINE)'
complete -c madrpc -n '_shtab_madrpc_using check; and test $_shtab_madrpc_npos -ge 0' -ka "(__fish_complete_path (commandline -ct))" -d 'JavaScript file to load; libraries go before the scripts that use them'
complete -c madrpc -n '_shtab_madrpc_using; and test $_shtab_madrpc_npos -eq 0' -a run -d 'run one function of a script, with no server'
complete -c madrpc -n '_shtab_madrpc_using run' -s h -l help -d 'show this help message and exit'
complete -c madrpc -n '_shtab_madrpc_using run' -s v -l verbose -d 'show full stacks and tracebacks of errors'
complete -c madrpc -n '_shtab_madrpc_using run' -l time-limit -x -d 'seconds the function may run (default: 30.0; environment: MADRPC_TIME_LIMIT)'
complete -c madrpc -n '_shtab_madrpc_using run' -l memory-limit -x -d 'JavaScript heap of one call, in MiB (default: 64.0; environment: MADRPC_MEMORY_LIMIT)'
complete -c madrpc -n '_shtab_madrpc_using run' -l engine -xka "quickjs v8" -d 'what runs the scripts: quickjs is quick to begin a call, v8 compiles, so that long loops run many times faster; v8 needs pip install '"'"'madrpc[v8]'"'"' (default: quickjs; environment: MADRPC_ENGINE)'
complete -c madrpc -n '_shtab_madrpc_using run' -l seed -x -d 'make Math.random reproducible'
complete -c madrpc -n '_shtab_madrpc_using run; and test $_shtab_madrpc_npos -eq 0' -ka "(__fish_complete_path (commandline -ct))" -d 'JavaScript file to load'
complete -c madrpc -n '_shtab_madrpc_using; and test $_shtab_madrpc_npos -eq 0' -a info -d 'show what a server is'
complete -c madrpc -n '_shtab_madrpc_using info' -s h -l help -d 'show this help message and exit'
complete -c madrpc -n '_shtab_madrpc_using info' -s v -l verbose -d 'show full stacks and tracebacks of errors'
complete -c madrpc -n '_shtab_madrpc_using info' -l json -d 'print the whole answer as JSON'
complete -c madrpc -n '_shtab_madrpc_using info' -s t -l timeout -x -d 'seconds until the call gives up (default: 60.0; environment: MADRPC_TIMEOUT)'
complete -c madrpc -n '_shtab_madrpc_using info' -l auth-token-file -xka "(__fish_complete_path (commandline -ct))" -d 'file whose first line the server wants (environment: MADRPC_AUTH_TOKEN_FILE)'
complete -c madrpc -n '_shtab_madrpc_using info' -l tls-cert -xka "(__fish_complete_path (commandline -ct))" -d 'this client'"'"'s certificate, for servers that want one (PEM) (environment: MADRPC_TLS_CERT)'
complete -c madrpc -n '_shtab_madrpc_using info' -l tls-key -xka "(__fish_complete_path (commandline -ct))" -d 'its private key, if not in the same file (PEM) (environment: MADRPC_TLS_KEY)'
complete -c madrpc -n '_shtab_madrpc_using info' -l tls-ca -xka "(__fish_complete_path (commandline -ct))" -d 'authority that the server'"'"'s certificate must come from; with it, the connection uses TLS (PEM) (environment: MADRPC_TLS_CA)'
complete -c madrpc -n '_shtab_madrpc_using info; and test $_shtab_madrpc_npos -eq 0' -ka "(__madrpc_addresses)" -d 'HOST:PORT of an orchestrator or a node'
complete -c madrpc -n '_shtab_madrpc_using; and test $_shtab_madrpc_npos -eq 0' -a health -d 'say whether a server takes calls'
complete -c madrpc -n '_shtab_madrpc_using health' -s h -l help -d 'show this help message and exit'
complete -c madrpc -n '_shtab_madrpc_using health' -s v -l verbose -d 'show full stacks and tracebacks of errors'
complete -c madrpc -n '_shtab_madrpc_using health' -l live -d 'exit with 0 if the server answers, in whatever state'
complete -c madrpc -n '_shtab_madrpc_using health' -s t -l timeout -x -d 'seconds until the call gives up (default: 4.0; environment: MADRPC_TIMEOUT)'
complete -c madrpc -n '_shtab_madrpc_using health' -l auth-token-file -xka "(__fish_complete_path (commandline -ct))" -d 'file whose first line the server wants (environment: MADRPC_AUTH_TOKEN_FILE)'
complete -c madrpc -n '_shtab_madrpc_using health' -l tls-cert -xka "(__fish_complete_path (commandline -ct))" -d 'this client'"'"'s certificate, for servers that want one (PEM) (environment: MADRPC_TLS_CERT)'
complete -c madrpc -n '_shtab_madrpc_using health' -l tls-key -xka "(__fish_complete_path (commandline -ct))" -d 'its private key, if not in the same file (PEM) (environment: MADRPC_TLS_KEY)'
complete -c madrpc -n '_shtab_madrpc_using health' -l tls-ca -xka "(__fish_complete_path (commandline -ct))" -d 'authority that the server'"'"'s certificate must come from; with it, the connection uses TLS (PEM) (environment: MADRPC_TLS_CA)'
complete -c madrpc -n '_shtab_madrpc_using health; and test $_shtab_madrpc_npos -eq 0' -ka "(__madrpc_addresses)" -d 'HOST:PORT of an orchestrator or a node'
complete -c madrpc -n '_shtab_madrpc_using; and test $_shtab_madrpc_npos -eq 0' -a methods -d 'list the functions of a server'
complete -c madrpc -n '_shtab_madrpc_using methods' -s h -l help -d 'show this help message and exit'
complete -c madrpc -n '_shtab_madrpc_using methods' -s v -l verbose -d 'show full stacks and tracebacks of errors'
complete -c madrpc -n '_shtab_madrpc_using methods' -l names -d 'print the names only, for other programs'
complete -c madrpc -n '_shtab_madrpc_using methods' -l json -d 'print the names as a JSON array'
complete -c madrpc -n '_shtab_madrpc_using methods' -l details -d 'print a JSON object with the signature, summary and parameters of each'
complete -c madrpc -n '_shtab_madrpc_using methods' -s t -l timeout -x -d 'seconds until the call gives up (default: 60.0; environment: MADRPC_TIMEOUT)'
complete -c madrpc -n '_shtab_madrpc_using methods' -l auth-token-file -xka "(__fish_complete_path (commandline -ct))" -d 'file whose first line the server wants (environment: MADRPC_AUTH_TOKEN_FILE)'
complete -c madrpc -n '_shtab_madrpc_using methods' -l tls-cert -xka "(__fish_complete_path (commandline -ct))" -d 'this client'"'"'s certificate, for servers that want one (PEM) (environment: MADRPC_TLS_CERT)'
complete -c madrpc -n '_shtab_madrpc_using methods' -l tls-key -xka "(__fish_complete_path (commandline -ct))" -d 'its private key, if not in the same file (PEM) (environment: MADRPC_TLS_KEY)'
complete -c madrpc -n '_shtab_madrpc_using methods' -l tls-ca -xka "(__fish_complete_path (commandline -ct))" -d 'authority that the server'"'"'s certificate must come from; with it, the connection uses TLS (PEM) (environment: MADRPC_TLS_CA)'
complete -c madrpc -n '_shtab_madrpc_using methods; and test $_shtab_madrpc_npos -eq 0' -ka "(__madrpc_addresses)" -d 'HOST:PORT of an orchestrator or a node'
complete -c madrpc -n '_shtab_madrpc_using; and test $_shtab_madrpc_npos -eq 0' -a deploy -d 'send scripts to the nodes of a running cluster'
complete -c madrpc -n '_shtab_madrpc_using deploy' -s h -l help -d 'show this help message and exit'
complete -c madrpc -n '_shtab_madrpc_using deploy' -s v -l verbose -d 'show full stacks and tracebacks of errors'
complete -c madrpc -n '_shtab_madrpc_using deploy' -l canary -x -d 'only so many of the nodes serve it, at least one and never all: 10% or 0.1'
complete -c madrpc -n '_shtab_madrpc_using deploy' -l rollback -d 'let the release before serve again on the nodes that run the last one deployed'
complete -c madrpc -n '_shtab_madrpc_using deploy' -l json -d 'print the answer as JSON'
complete -c madrpc -n '_shtab_madrpc_using deploy' -s t -l timeout -x -d 'seconds until the call gives up (default: 120.0; environment: MADRPC_TIMEOUT)'
complete -c madrpc -n '_shtab_madrpc_using deploy' -l auth-token-file -xka "(__fish_complete_path (commandline -ct))" -d 'file whose first line the server wants (environment: MADRPC_AUTH_TOKEN_FILE)'
complete -c madrpc -n '_shtab_madrpc_using deploy' -l tls-cert -xka "(__fish_complete_path (commandline -ct))" -d 'this client'"'"'s certificate, for servers that want one (PEM) (environment: MADRPC_TLS_CERT)'
complete -c madrpc -n '_shtab_madrpc_using deploy' -l tls-key -xka "(__fish_complete_path (commandline -ct))" -d 'its private key, if not in the same file (PEM) (environment: MADRPC_TLS_KEY)'
complete -c madrpc -n '_shtab_madrpc_using deploy' -l tls-ca -xka "(__fish_complete_path (commandline -ct))" -d 'authority that the server'"'"'s certificate must come from; with it, the connection uses TLS (PEM) (environment: MADRPC_TLS_CA)'
complete -c madrpc -n '_shtab_madrpc_using deploy; and test $_shtab_madrpc_npos -eq 0' -ka "(__madrpc_addresses)" -d 'HOST:PORT of an orchestrator or a node'
complete -c madrpc -n '_shtab_madrpc_using deploy; and test $_shtab_madrpc_npos -ge 1' -ka "(__fish_complete_path (commandline -ct))" -d 'JavaScript file to send'
complete -c madrpc -n '_shtab_madrpc_using; and test $_shtab_madrpc_npos -eq 0' -a doctor -d 'say whether this machine is fit'
complete -c madrpc -n '_shtab_madrpc_using doctor' -s h -l help -d 'show this help message and exit'
complete -c madrpc -n '_shtab_madrpc_using doctor' -s v -l verbose -d 'show full stacks and tracebacks of errors'
complete -c madrpc -n '_shtab_madrpc_using doctor' -l json -d 'print the findings as JSON'
complete -c madrpc -n '_shtab_madrpc_using; and test $_shtab_madrpc_npos -eq 0' -a tls -d 'make certificates for a cluster'
complete -c madrpc -n '_shtab_madrpc_using tls' -s h -l help -d 'show this help message and exit'
complete -c madrpc -n '_shtab_madrpc_using tls' -s v -l verbose -d 'show full stacks and tracebacks of errors'
complete -c madrpc -n '_shtab_madrpc_using tls' -l name -x -d 'host name or IP address of a server, besides localhost, 127.0.0.1 and ::1; may be repeated'
complete -c madrpc -n '_shtab_madrpc_using tls' -l days -x -d 'days until the certificates expire (default: 825)'
complete -c madrpc -n '_shtab_madrpc_using tls; and test $_shtab_madrpc_npos -eq 0' -ka "init" -d 'init makes the files'
complete -c madrpc -n '_shtab_madrpc_using tls; and test $_shtab_madrpc_npos -eq 1' -ka "(__fish_complete_directories)" -d 'folder to put them in; made if missing'
complete -c madrpc -n '_shtab_madrpc_using; and test $_shtab_madrpc_npos -eq 0' -a init -d 'make a folder to begin in'
complete -c madrpc -n '_shtab_madrpc_using init' -s h -l help -d 'show this help message and exit'
complete -c madrpc -n '_shtab_madrpc_using init' -s v -l verbose -d 'show full stacks and tracebacks of errors'
complete -c madrpc -n '_shtab_madrpc_using init; and test $_shtab_madrpc_npos -eq 0' -ka "(__fish_complete_directories)" -d 'the folder (default: this one)'
complete -c madrpc -n '_shtab_madrpc_using; and test $_shtab_madrpc_npos -eq 0' -a types -d 'print what editors need to know of the script API'
complete -c madrpc -n '_shtab_madrpc_using types' -s h -l help -d 'show this help message and exit'
complete -c madrpc -n '_shtab_madrpc_using types' -s v -l verbose -d 'show full stacks and tracebacks of errors'
complete -c madrpc -n '_shtab_madrpc_using; and test $_shtab_madrpc_npos -eq 0' -a completion -d 'print a shell'"'"'s completion script'
complete -c madrpc -n '_shtab_madrpc_using completion' -s h -l help -d 'show this help message and exit'
complete -c madrpc -n '_shtab_madrpc_using completion' -s v -l verbose -d 'show full stacks and tracebacks of errors'
complete -c madrpc -n '_shtab_madrpc_using completion; and test $_shtab_madrpc_npos -eq 0' -ka "bash zsh fish" -d 'the shell'
complete -c madrpc -n '_shtab_madrpc_using; and test $_shtab_madrpc_npos -eq 0' -a orch -d 'forward calls to nodes'
complete -c madrpc -n '_shtab_madrpc_using orch' -s h -l help -d 'show this help message and exit'
complete -c madrpc -n '_shtab_madrpc_using orch' -s v -l verbose -d 'show full stacks and tracebacks of errors'
complete -c madrpc -n '_shtab_madrpc_using orch' -s b -l bind -x -d 'address to listen on; port 0 takes a free one and prints it (default: 0.0.0.0:8080; environment: MADRPC_BIND)'
complete -c madrpc -n '_shtab_madrpc_using orch' -s n -l node -x -d 'address of a node, or file:PATH with one on each line, read again when it changes, or dns://NAME:PORT for every address of a name; may be repeated; nodes may also register themselves, with their --orchestrator (environment: MADRPC_NODE)'
complete -c madrpc -n '_shtab_madrpc_using orch' -l balance -xka "round-robin least-busy" -d 'how calls are shared out: to the nodes in turn, or to the one with the fewest calls for each of its workers (default: round-robin; environment: MADRPC_BALANCE)'
complete -c madrpc -n '_shtab_madrpc_using orch' -l max-frame -x -d 'largest message taken and sent (default: 16777216; environment: MADRPC_MAX_FRAME)'
complete -c madrpc -n '_shtab_madrpc_using orch' -l drain-timeout -x -d 'seconds that accepted calls get to finish after SIGTERM (default: 30.0; environment: MADRPC_DRAIN_TIMEOUT)'
complete -c madrpc -n '_shtab_madrpc_using orch' -l auth-token-file -xka "(__fish_complete_path (commandline -ct))" -d 'file whose first line callers must show this server (environment: MADRPC_AUTH_TOKEN_FILE)'
complete -c madrpc -n '_shtab_madrpc_using orch' -l tls-cert -xka "(__fish_complete_path (commandline -ct))" -d 'this server'"'"'s certificate; with it, connections use TLS (PEM) (environment: MADRPC_TLS_CERT)'
complete -c madrpc -n '_shtab_madrpc_using orch' -l tls-key -xka "(__fish_complete_path (commandline -ct))" -d 'its private key, if not in the same file (PEM) (environment: MADRPC_TLS_KEY)'
complete -c madrpc -n '_shtab_madrpc_using orch' -l tls-ca -xka "(__fish_complete_path (commandline -ct))" -d 'authority that certificates must come from; callers then need one too (PEM) (environment: MADRPC_TLS_CA)'
complete -c madrpc -n '_shtab_madrpc_using orch' -l http -x -d 'address of the dashboard, JSON-RPC 2.0, metrics and health; port 0 takes a free one (environment: MADRPC_HTTP)'
complete -c madrpc -n '_shtab_madrpc_using orch' -l rate-limit -x -d 'calls a second that one client address may make; more are told to come back later (environment: MADRPC_RATE_LIMIT)'
complete -c madrpc -n '_shtab_madrpc_using orch' -l log-level -xka "debug info warning error" -d 'least important message that is logged (default: info; environment: MADRPC_LOG_LEVEL)'
complete -c madrpc -n '_shtab_madrpc_using orch' -l log-format -xka "text json" -d 'form of a log line on stderr (default: text; environment: MADRPC_LOG_FORMAT)'

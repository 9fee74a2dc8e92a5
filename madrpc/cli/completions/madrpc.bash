# Completion of madrpc's command line; made from its parsers by 'make completions'.

_shtab_madrpc_subparsers=(node orchestrator up call map top bench check run info health methods deploy doctor tls init types completion orch)

_shtab_madrpc_node_option_strings=(-h --help -v --verbose -s --script -b --bind --pool-size --time-limit --memory-limit --queue-size --engine --orchestrator --advertise --isolation --sandbox --allow-deploy --watch --max-frame --drain-timeout --auth-token-file --tls-cert --tls-key --tls-ca --http --rate-limit --log-level --log-format)
_shtab_madrpc_orchestrator_option_strings=(-h --help -v --verbose -b --bind -n --node --balance --max-frame --drain-timeout --auth-token-file --tls-cert --tls-key --tls-ca --http --rate-limit --log-level --log-format)
_shtab_madrpc_up_option_strings=(-h --help -v --verbose -b --bind --nodes --pool-size --engine --allow-deploy --watch --balance --http)
_shtab_madrpc_call_option_strings=(-h --help -v --verbose -t --timeout --auth-token-file --tls-cert --tls-key --tls-ca --seed --time --trace)
_shtab_madrpc_map_option_strings=(-h --help -v --verbose -c --concurrency --arg --set --unordered --keep-going -q --quiet -t --timeout --auth-token-file --tls-cert --tls-key --tls-ca --time --trace)
_shtab_madrpc_top_option_strings=(-h --help -v --verbose -i --interval --once --json --plain -t --timeout --auth-token-file --tls-cert --tls-key --tls-ca)
_shtab_madrpc_bench_option_strings=(-h --help -v --verbose --args -c --concurrency -r --rate -n --calls -d --duration --warmup --fail-if --json --save -t --timeout --auth-token-file --tls-cert --tls-key --tls-ca)
_shtab_madrpc_check_option_strings=(-h --help -v --verbose --engine)
_shtab_madrpc_run_option_strings=(-h --help -v --verbose --time-limit --memory-limit --engine --seed)
_shtab_madrpc_info_option_strings=(-h --help -v --verbose --json -t --timeout --auth-token-file --tls-cert --tls-key --tls-ca)
_shtab_madrpc_health_option_strings=(-h --help -v --verbose --live -t --timeout --auth-token-file --tls-cert --tls-key --tls-ca)
_shtab_madrpc_methods_option_strings=(-h --help -v --verbose --names --json --details -t --timeout --auth-token-file --tls-cert --tls-key --tls-ca)
_shtab_madrpc_deploy_option_strings=(-h --help -v --verbose --canary --rollback --json -t --timeout --auth-token-file --tls-cert --tls-key --tls-ca)
_shtab_madrpc_doctor_option_strings=(-h --help -v --verbose --json)
_shtab_madrpc_tls_option_strings=(-h --help -v --verbose --name --days)
_shtab_madrpc_init_option_strings=(-h --help -v --verbose)
_shtab_madrpc_types_option_strings=(-h --help -v --verbose)
_shtab_madrpc_completion_option_strings=(-h --help -v --verbose)
_shtab_madrpc_orch_option_strings=(-h --help -v --verbose -b --bind -n --node --balance --max-frame --drain-timeout --auth-token-file --tls-cert --tls-key --tls-ca --http --rate-limit --log-level --log-format)
_shtab_madrpc_option_strings=(-h --help --version)

_shtab_madrpc_node__s_COMPGEN=_shtab_compgen_files
_shtab_madrpc_node___script_COMPGEN=_shtab_compgen_files
_shtab_madrpc_node___auth_token_file_COMPGEN=_shtab_compgen_files
_shtab_madrpc_node___tls_cert_COMPGEN=_shtab_compgen_files
_shtab_madrpc_node___tls_key_COMPGEN=_shtab_compgen_files
_shtab_madrpc_node___tls_ca_COMPGEN=_shtab_compgen_files
_shtab_madrpc_orchestrator___auth_token_file_COMPGEN=_shtab_compgen_files
_shtab_madrpc_orchestrator___tls_cert_COMPGEN=_shtab_compgen_files
_shtab_madrpc_orchestrator___tls_key_COMPGEN=_shtab_compgen_files
_shtab_madrpc_orchestrator___tls_ca_COMPGEN=_shtab_compgen_files
_shtab_madrpc_up_pos_0_COMPGEN=_shtab_compgen_files
_shtab_madrpc_call_pos_0_COMPGEN=_madrpc_addresses
_shtab_madrpc_call_pos_1_COMPGEN=_madrpc_methods
_shtab_madrpc_call___auth_token_file_COMPGEN=_shtab_compgen_files
_shtab_madrpc_call___tls_cert_COMPGEN=_shtab_compgen_files
_shtab_madrpc_call___tls_key_COMPGEN=_shtab_compgen_files
_shtab_madrpc_call___tls_ca_COMPGEN=_shtab_compgen_files
_shtab_madrpc_map_pos_0_COMPGEN=_madrpc_addresses
_shtab_madrpc_map_pos_1_COMPGEN=_madrpc_methods
_shtab_madrpc_map___auth_token_file_COMPGEN=_shtab_compgen_files
_shtab_madrpc_map___tls_cert_COMPGEN=_shtab_compgen_files
_shtab_madrpc_map___tls_key_COMPGEN=_shtab_compgen_files
_shtab_madrpc_map___tls_ca_COMPGEN=_shtab_compgen_files
_shtab_madrpc_top_pos_0_COMPGEN=_madrpc_addresses
_shtab_madrpc_top___auth_token_file_COMPGEN=_shtab_compgen_files
_shtab_madrpc_top___tls_cert_COMPGEN=_shtab_compgen_files
_shtab_madrpc_top___tls_key_COMPGEN=_shtab_compgen_files
_shtab_madrpc_top___tls_ca_COMPGEN=_shtab_compgen_files
_shtab_madrpc_bench_pos_0_COMPGEN=_madrpc_addresses
_shtab_madrpc_bench_pos_1_COMPGEN=_madrpc_methods
_shtab_madrpc_bench___save_COMPGEN=_shtab_compgen_files
_shtab_madrpc_bench___auth_token_file_COMPGEN=_shtab_compgen_files
_shtab_madrpc_bench___tls_cert_COMPGEN=_shtab_compgen_files
_shtab_madrpc_bench___tls_key_COMPGEN=_shtab_compgen_files
_shtab_madrpc_bench___tls_ca_COMPGEN=_shtab_compgen_files
_shtab_madrpc_check_pos_0_COMPGEN=_shtab_compgen_files
_shtab_madrpc_run_pos_0_COMPGEN=_shtab_compgen_files
_shtab_madrpc_info_pos_0_COMPGEN=_madrpc_addresses
_shtab_madrpc_info___auth_token_file_COMPGEN=_shtab_compgen_files
_shtab_madrpc_info___tls_cert_COMPGEN=_shtab_compgen_files
_shtab_madrpc_info___tls_key_COMPGEN=_shtab_compgen_files
_shtab_madrpc_info___tls_ca_COMPGEN=_shtab_compgen_files
_shtab_madrpc_health_pos_0_COMPGEN=_madrpc_addresses
_shtab_madrpc_health___auth_token_file_COMPGEN=_shtab_compgen_files
_shtab_madrpc_health___tls_cert_COMPGEN=_shtab_compgen_files
_shtab_madrpc_health___tls_key_COMPGEN=_shtab_compgen_files
_shtab_madrpc_health___tls_ca_COMPGEN=_shtab_compgen_files
_shtab_madrpc_methods_pos_0_COMPGEN=_madrpc_addresses
_shtab_madrpc_methods___auth_token_file_COMPGEN=_shtab_compgen_files
_shtab_madrpc_methods___tls_cert_COMPGEN=_shtab_compgen_files
_shtab_madrpc_methods___tls_key_COMPGEN=_shtab_compgen_files
_shtab_madrpc_methods___tls_ca_COMPGEN=_shtab_compgen_files
_shtab_madrpc_deploy_pos_0_COMPGEN=_madrpc_addresses
_shtab_madrpc_deploy_pos_1_COMPGEN=_shtab_compgen_files
_shtab_madrpc_deploy___auth_token_file_COMPGEN=_shtab_compgen_files
_shtab_madrpc_deploy___tls_cert_COMPGEN=_shtab_compgen_files
_shtab_madrpc_deploy___tls_key_COMPGEN=_shtab_compgen_files
_shtab_madrpc_deploy___tls_ca_COMPGEN=_shtab_compgen_files
_shtab_madrpc_tls_pos_1_COMPGEN=_shtab_compgen_dirs
_shtab_madrpc_init_pos_0_COMPGEN=_shtab_compgen_dirs
_shtab_madrpc_orch___auth_token_file_COMPGEN=_shtab_compgen_files
_shtab_madrpc_orch___tls_cert_COMPGEN=_shtab_compgen_files
_shtab_madrpc_orch___tls_key_COMPGEN=_shtab_compgen_files
_shtab_madrpc_orch___tls_ca_COMPGEN=_shtab_compgen_files

_shtab_madrpc_node___engine_choices=(quickjs v8)
_shtab_madrpc_node___isolation_choices=(auto context snapshot)
_shtab_madrpc_node___sandbox_choices=(auto off require)
_shtab_madrpc_node___log_level_choices=(debug info warning error)
_shtab_madrpc_node___log_format_choices=(text json)
_shtab_madrpc_orchestrator___balance_choices=(round-robin least-busy)
_shtab_madrpc_orchestrator___log_level_choices=(debug info warning error)
_shtab_madrpc_orchestrator___log_format_choices=(text json)
_shtab_madrpc_up___engine_choices=(quickjs v8)
_shtab_madrpc_up___balance_choices=(round-robin least-busy)
_shtab_madrpc_check___engine_choices=(quickjs v8)
_shtab_madrpc_run___engine_choices=(quickjs v8)
_shtab_madrpc_tls_pos_0_choices=(init)
_shtab_madrpc_completion_pos_0_choices=(bash zsh fish)
_shtab_madrpc_orch___balance_choices=(round-robin least-busy)
_shtab_madrpc_orch___log_level_choices=(debug info warning error)
_shtab_madrpc_orch___log_format_choices=(text json)
_shtab_madrpc_pos_0_choices=(node orchestrator up call map top bench check run info health methods deploy doctor tls init types completion orch)

_shtab_madrpc_node__h_nargs=0
_shtab_madrpc_node___help_nargs=0
_shtab_madrpc_node__v_nargs=0
_shtab_madrpc_node___verbose_nargs=0
_shtab_madrpc_node__s_nargs=+
_shtab_madrpc_node___script_nargs=+
_shtab_madrpc_node___allow_deploy_nargs=0
_shtab_madrpc_node___watch_nargs=0
_shtab_madrpc_orchestrator__h_nargs=0
_shtab_madrpc_orchestrator___help_nargs=0
_shtab_madrpc_orchestrator__v_nargs=0
_shtab_madrpc_orchestrator___verbose_nargs=0
_shtab_madrpc_up_pos_0_nargs=+
_shtab_madrpc_up__h_nargs=0
_shtab_madrpc_up___help_nargs=0
_shtab_madrpc_up__v_nargs=0
_shtab_madrpc_up___verbose_nargs=0
_shtab_madrpc_up___allow_deploy_nargs=0
_shtab_madrpc_up___watch_nargs=0
_shtab_madrpc_call_pos_2_nargs='*'
_shtab_madrpc_call__h_nargs=0
_shtab_madrpc_call___help_nargs=0
_shtab_madrpc_call__v_nargs=0
_shtab_madrpc_call___verbose_nargs=0
_shtab_madrpc_call___time_nargs=0
_shtab_madrpc_map__h_nargs=0
_shtab_madrpc_map___help_nargs=0
_shtab_madrpc_map__v_nargs=0
_shtab_madrpc_map___verbose_nargs=0
_shtab_madrpc_map___unordered_nargs=0
_shtab_madrpc_map___keep_going_nargs=0
_shtab_madrpc_map__q_nargs=0
_shtab_madrpc_map___quiet_nargs=0
_shtab_madrpc_map___time_nargs=0
_shtab_madrpc_top__h_nargs=0
_shtab_madrpc_top___help_nargs=0
_shtab_madrpc_top__v_nargs=0
_shtab_madrpc_top___verbose_nargs=0
_shtab_madrpc_top___once_nargs=0
_shtab_madrpc_top___json_nargs=0
_shtab_madrpc_top___plain_nargs=0
_shtab_madrpc_bench_pos_1_nargs='*'
_shtab_madrpc_bench__h_nargs=0
_shtab_madrpc_bench___help_nargs=0
_shtab_madrpc_bench__v_nargs=0
_shtab_madrpc_bench___verbose_nargs=0
_shtab_madrpc_bench___json_nargs=0
_shtab_madrpc_check_pos_0_nargs=+
_shtab_madrpc_check__h_nargs=0
_shtab_madrpc_check___help_nargs=0
_shtab_madrpc_check__v_nargs=0
_shtab_madrpc_check___verbose_nargs=0
_shtab_madrpc_run_pos_2_nargs='*'
_shtab_madrpc_run__h_nargs=0
_shtab_madrpc_run___help_nargs=0
_shtab_madrpc_run__v_nargs=0
_shtab_madrpc_run___verbose_nargs=0
_shtab_madrpc_info__h_nargs=0
_shtab_madrpc_info___help_nargs=0
_shtab_madrpc_info__v_nargs=0
_shtab_madrpc_info___verbose_nargs=0
_shtab_madrpc_info___json_nargs=0
_shtab_madrpc_health__h_nargs=0
_shtab_madrpc_health___help_nargs=0
_shtab_madrpc_health__v_nargs=0
_shtab_madrpc_health___verbose_nargs=0
_shtab_madrpc_health___live_nargs=0
_shtab_madrpc_methods__h_nargs=0
_shtab_madrpc_methods___help_nargs=0
_shtab_madrpc_methods__v_nargs=0
_shtab_madrpc_methods___verbose_nargs=0
_shtab_madrpc_methods___names_nargs=0
_shtab_madrpc_methods___json_nargs=0
_shtab_madrpc_methods___details_nargs=0
_shtab_madrpc_deploy_pos_1_nargs='*'
_shtab_madrpc_deploy__h_nargs=0
_shtab_madrpc_deploy___help_nargs=0
_shtab_madrpc_deploy__v_nargs=0
_shtab_madrpc_deploy___verbose_nargs=0
_shtab_madrpc_deploy___rollback_nargs=0
_shtab_madrpc_deploy___json_nargs=0
_shtab_madrpc_doctor__h_nargs=0
_shtab_madrpc_doctor___help_nargs=0
_shtab_madrpc_doctor__v_nargs=0
_shtab_madrpc_doctor___verbose_nargs=0
_shtab_madrpc_doctor___json_nargs=0
_shtab_madrpc_tls__h_nargs=0
_shtab_madrpc_tls___help_nargs=0
_shtab_madrpc_tls__v_nargs=0
_shtab_madrpc_tls___verbose_nargs=0
_shtab_madrpc_init__h_nargs=0
_shtab_madrpc_init___help_nargs=0
_shtab_madrpc_init__v_nargs=0
_shtab_madrpc_init___verbose_nargs=0
_shtab_madrpc_types__h_nargs=0
_shtab_madrpc_types___help_nargs=0
_shtab_madrpc_types__v_nargs=0
_shtab_madrpc_types___verbose_nargs=0
_shtab_madrpc_completion__h_nargs=0
_shtab_madrpc_completion___help_nargs=0
_shtab_madrpc_completion__v_nargs=0
_shtab_madrpc_completion___verbose_nargs=0
_shtab_madrpc_orch__h_nargs=0
_shtab_madrpc_orch___help_nargs=0
_shtab_madrpc_orch__v_nargs=0
_shtab_madrpc_orch___verbose_nargs=0
_shtab_madrpc_pos_0_nargs=A...
_shtab_madrpc__h_nargs=0
_shtab_madrpc___help_nargs=0
_shtab_madrpc___version_nargs=0


# Custom Preamble

_madrpc_addresses() {
  local address=${MADRPC_TARGET:-127.0.0.1:8080}
  [[ $address == "$1"* ]] && printf '%s\n' "$address"
}

_madrpc_methods() {
  local address='' word name
  for word in "${COMP_WORDS[@]:2:COMP_CWORD-2}"; do
    [[ $word == *:[0-9]* && $word != -* ]] && { address=$word; break; }
  done
  [[ -n $address ]] || address=${COMP_WORDS[COMP_CWORD-1]}
  [[ $address == -* ]] && return
  while IFS= read -r name; do
    [[ $name =~ ^[A-Za-z0-9_.-]+$ && $name == "$1"* ]] && printf '%s\n' "$name"
  done < <("${COMP_WORDS[0]}" methods --names -t 1 "$address" 2>/dev/null)
}

# End Custom Preamble

# $1=COMP_WORDS[1]
_shtab_compgen_files() {
  compgen -f -- $1  # files
}

# $1=COMP_WORDS[1]
_shtab_compgen_dirs() {
  compgen -d -- $1  # recurse into subdirs
}

# $1=COMP_WORDS[1]
_shtab_replace_nonword() {
  echo "${1//[^[:word:]]/_}"
}

# set default values (called for the initial parser & any subparsers)
_set_parser_defaults() {
  local subparsers_var="${prefix}_subparsers[@]"
  sub_parsers=${!subparsers_var-}

  local current_option_strings_var="${prefix}_option_strings[@]"
  current_option_strings=${!current_option_strings_var}

  completed_positional_actions=0

  _set_new_action "pos_$completed_positional_actions" true
}

# $1=action identifier
# $2=positional action (bool)
# set all identifiers for an action's parameters
_set_new_action() {
  current_action="${prefix}_$(_shtab_replace_nonword $1)"

  local current_action_compgen_var=${current_action}_COMPGEN
  current_action_compgen="${!current_action_compgen_var-}"

  local current_action_choices_var="${current_action}_choices[@]"
  current_action_choices="${!current_action_choices_var-}"

  local current_action_nargs_var="${current_action}_nargs"
  if [ -n "${!current_action_nargs_var-}" ]; then
    current_action_nargs="${!current_action_nargs_var}"
  else
    current_action_nargs=1
  fi

  current_action_args_start_index=$(( $word_index + 1 - $pos_only ))

  current_action_is_positional=$2
}

# Notes:
# `COMPREPLY`: what will be rendered after completion is triggered
# `completing_word`: currently typed word to generate completions for
# `${!var}`: evaluates the content of `var` and expand its content as a variable
#     hello="world"
#     x="hello"
#     ${!x} -> ${hello} -> "world"
_shtab_madrpc() {
  local completing_word="${COMP_WORDS[COMP_CWORD]}"
  local previous_word="${COMP_WORDS[COMP_CWORD-1]}"
  local completed_positional_actions
  local current_action
  local current_action_args_start_index
  local current_action_choices
  local current_action_compgen
  local current_action_is_positional
  local current_action_nargs
  local current_option_strings
  local sub_parsers
  COMPREPLY=()

  local prefix=_shtab_madrpc
  local word_index=0
  local pos_only=0 # "--" delimiter not encountered yet
  _set_parser_defaults
  word_index=1

  # determine what arguments are appropriate for the current state
  # of the arg parser
  while [ $word_index -ne $COMP_CWORD ]; do
    local this_word="${COMP_WORDS[$word_index]}"

    if [[ $pos_only = 1 || " $this_word " != " -- " ]]; then
      if [[ -n $sub_parsers && " ${sub_parsers[@]} " == *" $this_word "* ]]; then
        # valid subcommand: add it to the prefix & reset the current action
        prefix="${prefix}_$(_shtab_replace_nonword $this_word)"
        _set_parser_defaults
      fi

      if [[ " ${current_option_strings[@]} " == *" $this_word "* ]]; then
        # a new action should be acquired (due to recognised option string or
        # no more input expected from current action);
        # the next positional action can fill in here
        _set_new_action $this_word false
      fi

      if [[ "$current_action_nargs" != "*" ]] && \
         [[ "$current_action_nargs" != "+" ]] && \
         [[ "$current_action_nargs" != "?" ]] && \
         [[ "$current_action_nargs" != *"..." ]] && \
         (( $word_index + 1 - $current_action_args_start_index - $pos_only >= \
            $current_action_nargs )); then
        $current_action_is_positional && let "completed_positional_actions += 1"
        _set_new_action "pos_$completed_positional_actions" true
      fi
    else
      pos_only=1 # "--" delimiter encountered
    fi

    let "word_index+=1"
  done

  # Generate the completions

  COMPREPLY=()
  if [[ $pos_only = 0 && "$completing_word" == -* &&
        ( -z "$current_action_compgen" || "$current_action_is_positional" = true ) ]]; then
    # optional argument started: use option strings
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(
      compgen -W "${current_option_strings[*]}" -- "$completing_word")
  elif [[ "$previous_word" =~ ^[0-9\&]*[\<\>]\>?$ ]]; then
    # handle redirection operators
    compopt -o filenames 2>/dev/null || : # bash>=4
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$completing_word")
  else
    # use choices & compgen
    local action_compgen_word="$completing_word"
    # handle tab-completing in the middle of a line (#248 <- #116)
    [[ -n "$current_action_compgen" && "$completing_word" == -* ]] && action_compgen_word=""
    [ -n "$current_action_compgen" ] && {
      [[ "$current_action_compgen" =~ _(file|dir|glob|FILE|DIR|GLOB)|File|Dir|Glob ]] &&
        compopt -o filenames 2>/dev/null || : # bash>=4
      while IFS= read -r line; do COMPREPLY+=("$line"); done < <(
        "$current_action_compgen" "$action_compgen_word")
    }
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(
      compgen -W "${current_action_choices[*]}" -- "$completing_word")
  fi

  if [[ ${#COMPREPLY[@]} = 0 ]]; then
    # native fallback matches are not necessarily filenames (e.g. variables)
    compopt +o filenames 2>/dev/null || : # bash>=4
  fi

  return 0
}

_madrpc_complete() {
  local -a whole=()
  local at word last=-1 current=0
  for ((at = 0; at < ${#COMP_WORDS[@]}; at++)); do
    word=${COMP_WORDS[at]}
    if ((last > 0)) && [[ $word == = && ${whole[last]} == --* ]]; then
      # What follows is the option's value.
      ((at == COMP_CWORD)) && { whole+=(""); ((last += 1)); }
    elif ((last > 0)) && [[ $word == [:=]* || ${whole[last]} == *[:=] ]]; then
      whole[last]+=$word
    else
      whole+=("$word")
      ((last += 1))
    fi
    ((at == COMP_CWORD)) && current=$last
  done
  local -a COMP_WORDS=("${whole[@]}")
  local COMP_CWORD=$current
  _shtab_madrpc
  # Only what follows the last break is replaced.
  local typed=${whole[current]}
  if [[ $typed == *:* && $COMP_WORDBREAKS == *:* ]]; then
    COMPREPLY=("${COMPREPLY[@]#"${typed%"${typed##*:}"}"}")
  fi
}

complete -o bashdefault -F _madrpc_complete madrpc

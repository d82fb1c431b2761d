# Bash completion for nnc: commands, each command's options as its --help lists them, and the values of a few.
_nnc() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W "compile run bench verify check show cache devices ops version help --help" -- "$word")
    return
  fi
  case $before in
  --emit) mapfile -t COMPREPLY < <(compgen -W "so obj graph kernel plan llvm asm cl" -- "$word") && return ;;
  --approx) mapfile -t COMPREPLY < <(compgen -W "linear-attention=elu1" -- "$word") && return ;;
  --weights-dtype) mapfile -t COMPREPLY < <(compgen -W "f32 bf16 f16 q8 q4" -- "$word") && return ;;
  --precision) mapfile -t COMPREPLY < <(compgen -W "f32 bf16 int8" -- "$word") && return ;;
  --weights-mode) mapfile -t COMPREPLY < <(compgen -W "embed file" -- "$word") && return ;;
  --stage) mapfile -t COMPREPLY < <(compgen -W "graph fused kernel plan memory" -- "$word") && return ;;
  --format) mapfile -t COMPREPLY < <(compgen -W "text dot" -- "$word") && return ;;
  --device) mapfile -t COMPREPLY < <(compgen -W "cpu auto opencl" -- "$word") && return ;;
  --cpu) mapfile -t COMPREPLY < <(compgen -W "native x86-64 x86-64-v3 x86-64-v4 x86-64-v4-bf16 x86-64-v4-amx" -- "$word") && return ;;
  esac
  if [[ $word == -* ]]; then
    local options
    options=$(nnc "$command" --help 2>/dev/null | grep -o -e '--[a-z-]*' | sort -u)
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  fi
}
complete -o filenames -F _nnc nnc

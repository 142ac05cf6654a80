/**
 * `limpet completion bash|zsh|fish`: what makes a shell complete commands, options, and the values that are fixed.
 *
 * It is made from the commands as they are registered, so that none can be forgotten. It asks no daemon.
 */
import type { Command, Option } from 'commander'
import { DESTINATION_ORDERS } from '../store/views/destination-orders.ts'
import { URGENCY } from './admin/status.ts'
import { UsageError } from './cli-error.ts'
import { ROLES } from './run-options.ts'

const SHELLS = ['bash', 'zsh', 'fish'] as const
type Shell = (typeof SHELLS)[number]

/** Of an option, or of a command's argument. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  ...{
    '--state': URGENCY,
    '--dir': ['f', 'b'],
    '--order-by': DESTINATION_ORDERS,
    '--role': ROLES,
    completion: SHELLS,
  },
}
/** Names of files and folders. */
const FILES = new Set(['--config', '--signing-key', 'init'])

interface OptionWords {
  /** `--watch`, and `-h` where there is one. */
  readonly names: readonly string[]
  readonly description: string
  readonly takesValue: boolean
  /** Null: anything. */
  readonly values: readonly string[] | 'files' | null
}

interface CommandWords {
  readonly name: string
  readonly description: string
  readonly options: readonly OptionWords[]
  /** Of its argument. */
  readonly values: readonly string[] | 'files' | null
}

export function completionFor(shell: string, program: Command): string {
  const known = SHELLS.find((one) => one === shell)
  if (known === undefined) throw new UsageError(`${JSON.stringify(shell)} is not one of ${SHELLS.join(', ')}`)
  return WRITERS[known](commandsOf(program))
}

function commandsOf(program: Command): CommandWords[] {
  const visible = program.createHelp().visibleCommands(program)
  const argumentsOf = (command: Command) => {
    const below = command.name() === 'help' ? visible : command.commands
    return below.length > 0 ? below.map((one) => one.name()) : valuesOf(command.name())
  }
  return visible.map((command) => ({
    name: command.name(),
    description: command.description(),
    options: command.createHelp().visibleOptions(command).map(optionOf),
    values: argumentsOf(command),
  }))
}

const optionOf = (option: Option): OptionWords => ({
  names: [option.short, option.long].filter((name) => name !== undefined),
  description: option.description,
  takesValue: option.required || option.optional,
  values: valuesOf(option.long ?? ''),
})

const valuesOf = (what: string) => (FILES.has(what) ? 'files' : (VALUES[what] ?? null))

const WRITERS: Readonly<Record<Shell, (commands: readonly CommandWords[]) => string>> = {
  bash: bashOf,
  zsh: zshOf,
  fish: fishOf,
}

function bashOf(commands: readonly CommandWords[]): string {
  const byValue = new Map<string, string>()
  for (const { options } of commands)
    for (const { names, takesValue, values } of options)
      if (takesValue) byValue.set(names.join('|'), bashWords(values))
  return `# bash: source <(limpet completion bash)
_limpet() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} words=
  COMPREPLY=()
  case $before in
${[...byValue].map(([names, reply]) => `    ${names}) ${reply}; return ;;`).join('\n')}
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    words='${[...commands.map(({ name }) => name), '--help', '--version'].join(' ')}'
  else
    case \${COMP_WORDS[1]} in
${commands.map(bashCase).join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _limpet limpet
`
}

function bashCase({ name, options, values }: CommandWords): string {
  const names = options.flatMap((one) => one.names).join(' ')
  if (values !== 'files') return `      ${name}) words='${[...(values ?? []), names].join(' ')}' ;;`
  return `      ${name}) case $word in -*) words='${names}' ;; *) ${bashWords('files')}; return ;; esac ;;`
}

function bashWords(values: OptionWords['values']): string {
  if (values === null) return ':'
  if (values === 'files') return 'COMPREPLY=($(compgen -f -- "$word"))'
  return `COMPREPLY=($(compgen -W '${values.join(' ')}' -- "$word"))`
}

/** Within single quotes of any of the three shells. */
const quoted = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`

function zshOf(commands: readonly CommandWords[]): string {
  const described = commands.map(({ name, description }) => quoted(`${name}:${description}`))
  return `#compdef limpet
# zsh: limpet completion zsh > "\${fpath[1]}/_limpet", or source <(limpet completion zsh)
_limpet() {
  local -a commands
  commands=(
${described.map((one) => `    ${one}`).join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local name=$words[2]
  shift words
  (( CURRENT-- ))
  case $name in
${commands.map(zshCase).join('\n')}
  esac
}
if [ "$funcstack[1]" = _limpet ]; then _limpet "$@"; else compdef _limpet limpet; fi
`
}

function zshCase({ name, options, values }: CommandWords): string {
  const specs = options.flatMap(({ names, description, takesValue, values: own }) =>
    names.map((one) => {
      const text = description.replace(/[\\[\]:]/g, (sign) => `\\${sign}`)
      const value = takesValue ? `:${one.replace(/^-+/, '')}:${zshValues(own)}` : ''
      return quoted(`${one}[${text}]${value}`)
    }),
  )
  // Behind an argument that zsh was not told of it would complete no option.
  const argument = quoted(values === null ? '*: : ' : `1:${name}:${zshValues(values)}`)
  return `    ${name}) _arguments ${[argument, ...specs].join(' ')} ;;`
}

const zshValues = (values: OptionWords['values']) =>
  values === null ? ' ' : values === 'files' ? '_files' : `(${values.join(' ')})`

function fishOf(commands: readonly CommandWords[]): string {
  const lines = commands.flatMap(({ name, description, options, values }) => {
    const here = `complete -c limpet -n '__fish_seen_subcommand_from ${name}'`
    return [
      `complete -c limpet -n __fish_use_subcommand -a ${name} -d ${quoted(description)}`,
      ...(values === null ? [] : [`${here}${fishValues(values)}`]),
      ...options.map(({ names, description: text, takesValue, values: own }) => {
        const flags = names.map((one) =>
          one.startsWith('--') ? ` -l ${one.slice(2)}` : ` -s ${one.slice(1)}`,
        )
        const value = takesValue ? ` -r${fishValues(own)}` : ''
        return `${here}${flags.join('')}${value} -d ${quoted(text)}`
      }),
    ]
  })
  return `# fish: limpet completion fish > ~/.config/fish/completions/limpet.fish\ncomplete -c limpet -f\n${lines.join('\n')}\n`
}

const fishValues = (values: OptionWords['values']) =>
  values === null ? '' : values === 'files' ? ' -F' : ` -a '${values.join(' ')}'`

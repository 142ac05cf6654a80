/** Which names does DNS get asked about, and how are two compared? Labels of letters, digits, `-` and `_`; a dot at the end makes no difference. */

// RFC 1035, 2.3.4: 63 bytes a label, 255 a name, which is 253 characters without the dot at the end.
const NAME = /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/
const LONGEST = 253
// URL parsers and `inet_aton` take such a name for an IPv4 address (`127.1`, `0x7f.1`); no top-level domain is like that.
const ENDS_IN_NUMBER = /(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$/

/** `text` in lower case without the dot at its end, or null: DNS has no name of that form that is of use to us. */
export function dnsNameOf(text: string): string | null {
  const name = text.toLowerCase().replace(/\.$/, '')
  return name.length <= LONGEST && NAME.test(name) && !ENDS_IN_NUMBER.test(name) ? name : null
}

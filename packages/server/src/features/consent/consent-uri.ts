/** Puts the address at which a user consents into a text that an operator wrote. */
export function withConsentUri(text: string, uri: string): string {
  return text.replaceAll('%(consent_uri)s', () => uri)
}

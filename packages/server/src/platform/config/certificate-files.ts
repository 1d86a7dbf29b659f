/** Certificates of authorities that stand in files of their own; read once, when the configuration is. */
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { ConfigFault, type Place } from './fault.ts'
import { reason } from './secret-file.ts'

/**
 * The certificates of PEM files.
 * @throws ConfigFault where a file cannot be read or holds no certificate
 */
export function readCertificates(files: readonly string[], place: Place): Buffer[] {
  return files.map((file) => {
    try {
      const pem = readFileSync(file)
      new X509Certificate(pem)
      return pem
    } catch (error) {
      const advice = 'Name files that hold certificates in the PEM format and that the server may read.'
      throw new ConfigFault(place.path, place.file, place.line, `The certificate file ${file} cannot be used: ${reason(error)}.`, advice)
    }
  })
}

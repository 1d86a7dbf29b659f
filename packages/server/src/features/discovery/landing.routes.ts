/** What a browser finds at the root of the server. */
import { endpoint } from '#platform/http/endpoint.ts'
import { RawReply, redirect } from '#platform/http/reply.ts'

/** Where the root leads to. */
export interface Landing {
  /** `web_client_location`: the web client of this server. */
  readonly webClientLocation: string | null
}

const page = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Myelin is running</title></head>
<body><h1>Myelin is running</h1><p>This is a Matrix homeserver. Log in to it with any Matrix client.</p></body></html>
`

const landing = endpoint({
  id: 'landingPage', method: 'GET', base: 'root', versions: [], path: '/', spec: 'Synapse: configuration manual, "web_client_location"',
  auth: 'none', limit: 'none', role: 'main', errors: [],
  handler: ({ landing: { webClientLocation } }: { landing: Landing }) =>
    webClientLocation === null ? new RawReply({ headers: { 'Content-Type': 'text/html; charset=utf-8' }, body: page }) : redirect(webClientLocation),
})

export const landingRoutes = [landing]

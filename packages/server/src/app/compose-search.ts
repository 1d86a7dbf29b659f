/** Builds search: the index, what feeds it, and the questions to it. */
import type { AccountData } from '#features/account-data/account-data.ts'
import type { History } from '#features/messages/history.ts'
import type { Relations } from '#features/relations/relations.ts'
import { SearchIndexing } from '#features/search/search.consumer.ts'
import { SearchReply } from '#features/search/search-reply.ts'
import { MessageSearch } from '#features/search/search.ts'
import { EventsConsumer } from '#engine/events-consumer.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import { TextIndex } from '#platform/db/text-index.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Engine } from './compose-engine.ts'
import type { Config } from './config.ts'

interface Inputs {
  readonly config: Config
  readonly database: Database
  readonly clock: Clock
  readonly logger: (name: string) => Logger
  readonly engine: Engine
  readonly accountData: AccountData
  readonly relations: Relations
  readonly history: History
  readonly stack: AsyncDisposableStack
}

/** New messages wait so long for others, unless somebody searches. */
const lingerMs = 1000
/** An older database is indexed in steps, with the time between them for everything else. */
const pace = { above: 2000, batchMs: 5, pauseMs: 20 }

/** Search. */
export async function composeSearch({ config, database, clock, logger, engine, accountData, relations, history, stack }: Inputs) {
  const index = new TextIndex(database, 'event_search')
  const work = new SearchIndexing({ ...engine, edits: relations, index })
  engine.purging.addParticipant(work)
  const searchIndexing = await EventsConsumer.open({
    ...engine, name: 'search', begin: 'oldest', database, stream: engine.eventsStream, clock, logger: logger('synapse.storage.databases.main.search'), lingerMs, pace,
    work,
  })
  stack.defer(() => searchIndexing.stop())
  const messageSearch = new MessageSearch({
    ...engine, index, indexing: searchIndexing, isEnabled: config.enable_search, ignoredUsers: accountData, relatedTo: relations,
  })
  const searchReply = new SearchReply({ ...engine, edits: relations, history })
  return { searchIndexing, messageSearch, searchReply }
}

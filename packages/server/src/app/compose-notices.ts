/** Builds what the server tells its users by itself. */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { NoticeRooms, ServerNotices, type NoticeRules } from '#features/notices/notices.ts'
import type { Engine } from './compose-engine.ts'
import type { Config } from './config.ts'

/** Who sends notices and what their rooms look like; undefined where there are none. */
function noticeRules({ server_notices: options, server_name: serverName }: Config): NoticeRules | undefined {
  if (options === null || options.system_mxid_localpart === null) return undefined
  return {
    sender: `@${options.system_mxid_localpart}:${serverName}` as UserId,
    displayName: options.system_mxid_display_name,
    avatarUrl: options.system_mxid_avatar_url,
    roomName: options.room_name,
    roomAvatarUrl: options.room_avatar_url,
    roomTopic: options.room_topic,
    autoJoin: options.auto_join,
  }
}

/** How the server knows the rooms of its notices. */
export function composeNoticeRooms(config: Config, engine: Engine): NoticeRooms {
  return new NoticeRooms({ ...engine, sender: noticeRules(config)?.sender })
}

type Inputs = Omit<Parameters<typeof ServerNotices.open>[0], 'rules'> & { readonly config: Config }

/** Notices. */
export function composeNotices(inputs: Inputs): Promise<ServerNotices> {
  return ServerNotices.open({ ...inputs, rules: noticeRules(inputs.config) })
}

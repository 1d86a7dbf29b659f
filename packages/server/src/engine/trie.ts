/**
 * Room state as an immutable, content-addressed hash trie of integers: (type, state key) → event.
 * Inner nodes fan out 32 ways, a leaf holds up to 16 entries; a node's id is the hash of its content and its room.
 */
import { hash } from 'node:crypto'

/** One entry of a state: interned type, interned state key, event. */
export interface StateEntry {
  readonly typeNid: number
  readonly stateKeyNid: number
  readonly eventNid: number
}

/** Entries in order of (type, state key), three numbers each. */
interface Leaf {
  readonly entries: readonly number[]
}

/** Children by the set bits of the map, lowest first. */
interface Inner {
  readonly bits: number
  readonly children: readonly number[]
}

export type TrieNode = Leaf | Inner

/** Where nodes are read from. */
export interface NodeSource {
  /** A node that exists; at once where memory holds it. */
  node(roomNid: number, id: number): TrieNode | Promise<TrieNode>
}

/** Id of the trie without entries. */
export const emptyRoot = 0

const leafLimit = 16
const bitsPerLevel = 5
const deepest = 6

/** Nodes that an insertion made, by id, with the bytes to be stored. */
export type NewNodes = Map<number, { readonly node: TrieNode; readonly content: Uint8Array }>

/** Spreads consecutive interned numbers over 32 bits. */
function spread(typeNid: number, stateKeyNid: number): number {
  let mixed = Math.imul(typeNid, 0x9e3779b1) ^ Math.imul(stateKeyNid + 0x7f4a7c15, 0x85ebca6b)
  mixed ^= mixed >>> 15
  mixed = Math.imul(mixed, 0x2c1b3c6d)
  mixed ^= mixed >>> 12
  mixed = Math.imul(mixed, 0x297a2d39)
  return (mixed ^ (mixed >>> 15)) >>> 0
}

function slot(spreadKey: number, level: number): number {
  return (spreadKey >>> (level * bitsPerLevel)) & 31
}

function popcount(bits: number): number {
  let count = bits - ((bits >>> 1) & 0x55555555)
  count = (count & 0x33333333) + ((count >>> 2) & 0x33333333)
  return Math.imul((count + (count >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}

function isLeaf(node: TrieNode): node is Leaf {
  return 'entries' in node
}

/** Bytes of a node: a tag, then numbers of seven bits a byte. */
export function encodeNode(node: TrieNode): Uint8Array {
  const bytes: number[] = [isLeaf(node) ? 0 : 1]
  const numbers = isLeaf(node) ? node.entries : [node.bits, ...node.children]
  for (const number of numbers) {
    let rest = number
    while (rest >= 128) {
      bytes.push((rest % 128) + 128)
      rest = Math.floor(rest / 128)
    }
    bytes.push(rest)
  }
  return Uint8Array.from(bytes)
}

/** The node that `encodeNode` wrote. */
export function decodeNode(content: Uint8Array): TrieNode {
  const numbers: number[] = []
  let value = 0
  let scale = 1
  for (const byte of content.subarray(1)) {
    value += (byte & 127) * scale
    if (byte >= 128) {
      scale *= 128
      continue
    }
    numbers.push(value)
    value = 0
    scale = 1
  }
  if (content[0] === 0) return { entries: numbers }
  const [bits = 0, ...children] = numbers
  return { bits, children }
}

/** 52 bits of a hash over room and content: small in rows and indexes, and unique in practice; the store compares contents where ids meet. */
function nodeId(roomNid: number, content: Uint8Array): number {
  const digest = hash('sha256', Buffer.concat([Buffer.from(`${roomNid}:`), content]), 'buffer')
  return digest.readUIntBE(0, 6) * 16 + ((digest[6] ?? 0) & 15) || 1
}

function add(roomNid: number, node: TrieNode, made: NewNodes): number {
  const content = encodeNode(node)
  const id = nodeId(roomNid, content)
  made.set(id, { node, content })
  return id
}

function compare(entries: readonly number[], index: number, typeNid: number, stateKeyNid: number): number {
  return (entries[index] ?? 0) - typeNid || (entries[index + 1] ?? 0) - stateKeyNid
}

function findInLeaf(leaf: Leaf, typeNid: number, stateKeyNid: number): number | undefined {
  for (let index = 0; index < leaf.entries.length; index += 3) {
    if (leaf.entries[index] === typeNid && leaf.entries[index + 1] === stateKeyNid) return leaf.entries[index + 2]
  }
  return undefined
}

/** The event that holds (type, state key) in the state `root`, or undefined. */
export async function trieGet(source: NodeSource, roomNid: number, root: number, typeNid: number, stateKeyNid: number): Promise<number | undefined> {
  const key = spread(typeNid, stateKeyNid)
  let id = root
  for (let level = 0; id !== emptyRoot; level += 1) {
    const found = source.node(roomNid, id)
    const node = found instanceof Promise ? await found : found
    if (isLeaf(node)) return findInLeaf(node, typeNid, stateKeyNid)
    const bit = 1 << slot(key, level)
    if ((node.bits & bit) === 0) return undefined
    id = node.children[popcount(node.bits & (bit - 1))] ?? emptyRoot
  }
  return undefined
}

function leafWith(leaf: Leaf, entry: StateEntry): number[] {
  const entries = [...leaf.entries]
  let index = 0
  while (index < entries.length && compare(entries, index, entry.typeNid, entry.stateKeyNid) < 0) index += 3
  const replaces = index < entries.length && compare(entries, index, entry.typeNid, entry.stateKeyNid) === 0
  entries.splice(index, replaces ? 3 : 0, entry.typeNid, entry.stateKeyNid, entry.eventNid)
  return entries
}

function split(roomNid: number, entries: readonly number[], level: number, made: NewNodes): number {
  if (entries.length <= leafLimit * 3 || level > deepest) return add(roomNid, { entries }, made)
  const bySlot = new Map<number, number[]>()
  for (let index = 0; index < entries.length; index += 3) {
    const [typeNid = 0, stateKeyNid = 0, eventNid = 0] = entries.slice(index, index + 3)
    const place = slot(spread(typeNid, stateKeyNid), level)
    const list = bySlot.get(place) ?? []
    list.push(typeNid, stateKeyNid, eventNid)
    bySlot.set(place, list)
  }
  const places = [...bySlot.keys()].sort((a, b) => a - b)
  const children = places.map((place) => split(roomNid, bySlot.get(place) ?? [], level + 1, made))
  const bits = places.reduce((all, place) => all | (1 << place), 0) >>> 0
  return add(roomNid, { bits, children }, made)
}

/**
 * The state `root` with one entry set.
 * @param made collects the nodes that are new and must be stored with the event
 * @returns root of the new state
 */
export async function trieSet(source: NodeSource, roomNid: number, root: number, entry: StateEntry, made: NewNodes): Promise<number> {
  const key = spread(entry.typeNid, entry.stateKeyNid)
  const path: { readonly node: Inner; readonly bit: number }[] = []
  let id = root
  let child: number | undefined
  for (let level = 0; child === undefined; level += 1) {
    if (id === emptyRoot) {
      child = add(roomNid, { entries: [entry.typeNid, entry.stateKeyNid, entry.eventNid] }, made)
      break
    }
    const node = made.get(id)?.node ?? (await source.node(roomNid, id))
    if (isLeaf(node)) {
      child = split(roomNid, leafWith(node, entry), level, made)
      break
    }
    const bit = 1 << slot(key, level)
    path.push({ node, bit })
    id = (node.bits & bit) === 0 ? emptyRoot : (node.children[popcount(node.bits & (bit - 1))] ?? emptyRoot)
  }
  for (const { node, bit } of path.reverse()) {
    const children = [...node.children]
    const present = (node.bits & bit) !== 0
    children.splice(popcount(node.bits & (bit - 1)), present ? 1 : 0, child)
    child = add(roomNid, { bits: (node.bits | bit) >>> 0, children }, made)
  }
  return child
}

/** The root of a state with exactly these entries; each key is there once. */
export function trieOf(roomNid: number, entries: readonly StateEntry[], made: NewNodes): number {
  if (entries.length === 0) return emptyRoot
  const sorted = [...entries].sort((a, b) => a.typeNid - b.typeNid || a.stateKeyNid - b.stateKeyNid)
  return split(roomNid, sorted.flatMap(({ typeNid, stateKeyNid, eventNid }) => [typeNid, stateKeyNid, eventNid]), 0, made)
}

/** Those of the nodes that belong to the state `root`. */
export function reachable(root: number, made: NewNodes): NewNodes {
  const found: NewNodes = new Map()
  const open = [root]
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    const node = made.get(id)
    if (!node || found.has(id)) continue
    found.set(id, node)
    if (!isLeaf(node.node)) open.push(...node.node.children)
  }
  return found
}

/** All entries of the state `root`, in no particular order. */
export async function trieEntries(source: NodeSource, roomNid: number, root: number): Promise<StateEntry[]> {
  const found: StateEntry[] = []
  const open = root === emptyRoot ? [] : [root]
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    const node = await source.node(roomNid, id)
    if (isLeaf(node)) pushEntries(node, found)
    else open.push(...node.children)
  }
  return found
}

function pushEntries(leaf: Leaf, found: StateEntry[]): void {
  for (let index = 0; index < leaf.entries.length; index += 3) {
    const [typeNid = 0, stateKeyNid = 0, eventNid = 0] = leaf.entries.slice(index, index + 3)
    found.push({ typeNid, stateKeyNid, eventNid })
  }
}

/** What differs between two states, reading only the branches that differ. */
export async function trieDiff(
  source: NodeSource,
  roomNid: number,
  left: number,
  right: number,
): Promise<{ readonly onlyLeft: StateEntry[]; readonly onlyRight: StateEntry[] }> {
  const onlyLeft: StateEntry[] = []
  const onlyRight: StateEntry[] = []
  const open: [number, number][] = [[left, right]]
  for (let pair = open.pop(); pair !== undefined; pair = open.pop()) {
    const [a, b] = pair
    if (a === b) continue
    const nodeA = a === emptyRoot ? undefined : await source.node(roomNid, a)
    const nodeB = b === emptyRoot ? undefined : await source.node(roomNid, b)
    if (nodeA && nodeB && !isLeaf(nodeA) && !isLeaf(nodeB)) {
      pairChildren(nodeA, nodeB, open)
      continue
    }
    const entriesA = a === emptyRoot ? [] : await trieEntries(source, roomNid, a)
    const entriesB = b === emptyRoot ? [] : await trieEntries(source, roomNid, b)
    const name = (entry: StateEntry): string => `${entry.typeNid},${entry.stateKeyNid},${entry.eventNid}`
    const inA = new Set(entriesA.map(name))
    const inB = new Set(entriesB.map(name))
    onlyLeft.push(...entriesA.filter((entry) => !inB.has(name(entry))))
    onlyRight.push(...entriesB.filter((entry) => !inA.has(name(entry))))
  }
  return { onlyLeft, onlyRight }
}

function pairChildren(a: Inner, b: Inner, open: [number, number][]): void {
  for (let place = 0; place < 32; place += 1) {
    const bit = 1 << place
    const childA = (a.bits & bit) === 0 ? emptyRoot : (a.children[popcount(a.bits & (bit - 1))] ?? emptyRoot)
    const childB = (b.bits & bit) === 0 ? emptyRoot : (b.children[popcount(b.bits & (bit - 1))] ?? emptyRoot)
    if (childA !== childB) open.push([childA, childB])
  }
}

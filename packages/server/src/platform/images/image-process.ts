/**
 * The program that decodes pictures of strangers, in a process of its own: a decoder that crashes or hangs takes nothing with it.
 * It gets one `ImageJob` at a time over the process channel and answers each with an `ImageOutcome`.
 */
import { open } from 'node:fs/promises'
import sharp from 'sharp'
import type { ImageJob, ImageOutcome, ImageType } from './image-job.ts'

sharp.cache(false)
sharp.concurrency(1)
sharp.block({ operation: ['VipsForeignLoad'] })
sharp.unblock({ operation: ['VipsForeignLoadJpeg', 'VipsForeignLoadPng', 'VipsForeignLoadNsgif', 'VipsForeignLoadWebp'] })

/** Enough to find the chunk of a PNG that announces an animation: it stands before the pixels. */
const headBytes = 65_536
/** Frames of an animation beyond these are left out. */
const frameLimit = 200

async function headOf(path: string): Promise<Buffer> {
  const file = await open(path, 'r')
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** The kind of picture by its first bytes; names and declared types say nothing. */
function typeOf(head: Buffer): ImageType | undefined {
  if (head.subarray(0, 8).equals(Buffer.from('89504e470d0a1a0a', 'hex'))) return 'image/png'
  if (head.subarray(0, 3).equals(Buffer.from('ffd8ff', 'hex'))) return 'image/jpeg'
  const text = head.toString('latin1', 0, 12)
  if (text.startsWith('GIF87a') || text.startsWith('GIF89a')) return 'image/gif'
  return text.startsWith('RIFF') && text.endsWith('WEBP') ? 'image/webp' : undefined
}

async function work(job: ImageJob): Promise<ImageOutcome> {
  const head = await headOf(job.source)
  const type = typeOf(head)
  if (type === undefined) return { kind: 'unreadable' }
  const { width, height, pages = 1, orientation = 1 } = await sharp(job.source, { limitInputPixels: false, failOn: 'error' }).metadata()
  if (width * height > job.maxPixels) return { kind: 'too-large' }
  const turned = orientation >= 5
  const [shownWidth, shownHeight] = turned ? [height, width] : [width, height]
  const isSmall = shownWidth <= job.width && shownHeight <= job.height
  const moves = pages > 1 || (type === 'image/png' && head.includes('acTL'))
  if (isSmall && (!moves || job.animated)) {
    // Decoded nonetheless: only a picture that is whole may be shown under an image type.
    await sharp(job.source, { limitInputPixels: job.maxPixels, failOn: 'error' }).stats()
    return { kind: 'original', type }
  }
  return { kind: 'made', type: await resize(job, { type, pages, pixels: width * height, shownWidth, shownHeight }) }
}

interface Source {
  readonly type: ImageType
  readonly pages: number
  readonly pixels: number
  readonly shownWidth: number
  readonly shownHeight: number
}

/** Writes the target. No picture grows: the wanted size is cut down to the source's first. */
async function resize(job: ImageJob, source: Source): Promise<ImageType> {
  const animated = job.animated && source.pages > 1
  const frames = animated ? Math.max(1, Math.min(source.pages, frameLimit, Math.floor(job.maxPixels / source.pixels))) : 1
  const image = sharp(job.source, { limitInputPixels: job.maxPixels, failOn: 'error', pages: frames })
  if (!animated) image.autoOrient()
  if (job.method === 'crop') {
    const width = Math.min(job.width, source.shownWidth)
    image.resize({ width, height: Math.min(job.height, source.shownHeight), fit: 'cover', withoutEnlargement: true })
  } else {
    image.resize({ width: job.width, height: job.height, fit: 'outside', withoutEnlargement: true })
  }
  if (animated) {
    await image.webp({ quality: 75, effort: 2 }).toFile(job.target)
    return 'image/webp'
  }
  if (source.type === 'image/jpeg') {
    await image.jpeg({ quality: 80 }).toFile(job.target)
    return 'image/jpeg'
  }
  await image.png().toFile(job.target)
  return 'image/png'
}

async function answer(job: ImageJob): Promise<void> {
  let outcome: ImageOutcome
  try {
    outcome = await work(job)
  } catch {
    // Whatever the decoder dislikes: the picture cannot be read.
    outcome = { kind: 'unreadable' }
  }
  process.send?.(outcome)
}

process.on('message', (job: ImageJob) => void answer(job))
process.on('disconnect', () => process.exit())

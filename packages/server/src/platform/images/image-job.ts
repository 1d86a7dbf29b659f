/** What the server asks the image process to do, and what comes back. */

/** How the picture meets the wanted size: cut to exactly its shape, or kept whole. */
export type ResizeMethod = 'crop' | 'scale'

/** One picture to make smaller. */
export interface ImageJob {
  readonly source: string
  /** File to write; it must not exist yet. */
  readonly target: string
  /** Wanted size in pixels; the result is at least so large unless the source is smaller. */
  readonly width: number
  readonly height: number
  readonly method: ResizeMethod
  /** Keep the movement of a picture that moves. */
  readonly animated: boolean
  /** Pictures with more pixels are not decoded. */
  readonly maxPixels: number
}

/** What a resized picture can be. */
export type ImageType = 'image/jpeg' | 'image/png' | 'image/gif' | 'image/webp'

/**
 * `made`: the target was written. `original`: the source is not larger than wanted and can be used as it is, under its true type.
 * `too-large`: more pixels than allowed. `unreadable`: no picture of a supported kind, or a damaged one.
 */
export type ImageOutcome =
  | { readonly kind: 'made'; readonly type: ImageType }
  | { readonly kind: 'original'; readonly type: ImageType }
  | { readonly kind: 'too-large' }
  | { readonly kind: 'unreadable' }

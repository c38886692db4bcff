import { Fragment, type VNode } from 'preact'

/** A model's id, which may break behind each of its slashes. */
export function SlashedName({ name }: { name: string }): VNode {
  return <>{name.split('/').map((part, index) => <Fragment key={index}>{index > 0 && <>/<wbr /></>}{part}</Fragment>)}</>
}

/** Where the focus goes when the control that had it is gone: not to the top of the page. */

export const CONVERSATION_ID = "conversation";

/** The conversation and not the message box: on a phone that would open the keyboard. */
export function focusConversation(): void {
  document.getElementById(CONVERSATION_ID)?.focus({ preventScroll: true });
}

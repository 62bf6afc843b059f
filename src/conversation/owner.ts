/** Whose conversations they are where nobody has to say who they are. */
export const ANONYMOUS = 'anonymous';

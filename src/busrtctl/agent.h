/* SPDX-License-Identifier: Apache-2.0 */
/* polkit's agent on the terminal: pkttyagent(1), which asks for a password when polkit wants one.
 */
#pragma once

#include <sys/types.h>

/* Starts it, and waits until it is there. Its pid; 0: it is not installed, or did not start. */
pid_t agent_start(void);
/* Ends it. 0 is fine. */
void agent_stop(pid_t pid);

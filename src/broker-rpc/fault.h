/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Methods that do harm, for tests of what must hold then. They are in programs that link fault.c
 * (meson -Dfault-injection=true, and busrtd-faults, which is never installed). All others get
 * fault-none.c from the library, and have none.
 */
#pragma once

#include "broker-rpc/call.h"

/* The administrator's method of that name, which takes parameters; or NULL. */
method_fn fault_find_method(const struct rpc_message *request);

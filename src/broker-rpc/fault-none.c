/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "broker-rpc/fault.h"

method_fn fault_find_method(const struct rpc_message *request)
{
        return NULL;
}

const char *broker_rpc_build_note(void)
{
        return "";
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault.stall {seconds}: the worker stands still for so long, and everything with it, before the
 * reply.
 */
#include <time.h>

#include "basic/macro.h"
#include "broker-rpc/fault.h"
#include "broker-rpc/params.h"

#define STALL_MAX 3600

static int method_stall(struct call *call)
{
        struct params_field seconds = {"seconds", PARAMS_NUMBER};
        struct timespec left;
        int code = call_check_admin(call, "org.busrt1.inspect", "stall the worker");

        if (code < 0)
                return code;
        if (params_parse_fields(call->request.data, call->request.data_len, &seconds, 1,
                                &call->error) < 0)
                return RPC_CODE_INVALID_PARAMS;
        left.tv_sec = (time_t)MIN(seconds.number, (uint64_t)STALL_MAX);
        left.tv_nsec = 0;
        while (nanosleep(&left, &left) < 0 && errno == EINTR)
                continue;
        return call_ok(call);
}

method_fn fault_find_method(const struct rpc_message *request)
{
        return call_is_of(request, "fault.stall") ? method_stall : NULL;
}

const char *broker_rpc_build_note(void)
{
        return " (with fault injection)";
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "busrtctl/busrtctl.h"

/* busrtctl rpc listen; argv[0] is "listen". */
int rpc_listen(const struct settings *settings, int argc, char **argv);

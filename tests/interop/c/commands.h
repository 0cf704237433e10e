/* SPDX-License-Identifier: Apache-2.0 */
/* What the driver can order done. */
#pragma once

#include "line.h"

/* Carries out an order, and returns the answer, without the order's id. */
json_object *command_run(json_object *order);

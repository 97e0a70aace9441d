// SPDX-License-Identifier: Apache-2.0
/* A guest's control socket, put together; see control.h. Main only. */
#include "vmm/control/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/control/names.h"
#include "vmm/control/request.h"
#include "vmm/control/server.h"
#include "vmm/guest.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define STALL_NS 5000000000ULL

struct control {
	struct guest *guest;
	struct names_claim claim;
	struct loop_timer sweep;
	struct server *server;
};

static char *answer(void *arg, const char *line, size_t len)
{
	return request_answer(control_table, control_commands, arg, line, len);
}

static char *refuse(void *arg, const char *why)
{
	return request_refuse(why);
}

/* Once the guest runs: it does not wait for what others left behind. */
static void on_sweep(struct loop_timer *timer)
{
	names_sweep(container_of(timer, struct control, sweep)->guest->cfg->name);
}

int control_open(struct control **out, struct guest *guest)
{
	const struct server_ops ops = {
		.answer = answer, .refuse = refuse, .arg = guest, .stall_ns = STALL_NS};
	const char *path = guest->cfg->control;
	struct control *c;
	int err;

	*out = NULL;
	if (path && !strcmp(path, "off"))
		return 0;
	c = calloc(1, sizeof(*c));
	if (!c)
		return log_errno(-ENOMEM, "--control");
	err = names_claim(&c->claim, guest->cfg->name, path);
	if (err || c->claim.fd < 0)
		goto out_free;
	c->guest = guest;
	c->sweep.fn = on_sweep;
	err = server_create(&c->server, guest->loop, c->claim.fd, &ops);
	if (err) {
		log_errno(err, "--control %s", c->claim.socket.path);
		names_release(&c->claim);
		goto out_free;
	}
	log_info("control: %s", c->claim.socket.path);
	loop_timer_set(guest->loop, &c->sweep, 0);
	*out = c;
	return 0;

out_free:
	free(c);
	return err;
}

void control_close(struct control *c)
{
	if (!c)
		return;
	loop_timer_cancel(c->guest->loop, &c->sweep);
	names_release(&c->claim);
	server_destroy(c->server);
	free(c);
}

// SPDX-License-Identifier: Apache-2.0
/* A plot of the worst regrets: a group of bars a family, one bar a competitor, on a logarithmic scale; see
 * sim.h. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "tests/bench/haltpoll/sim.h"

#define LEFT	60
#define TOP	50
#define HEIGHT	300
#define BAR	14
#define GAP	24
#define HIGHEST 32.0 /* of the scale */

static const char *const colour[] = {
	"#c0392b", "#7f8c8d", "#aed6f1", "#5dade2", "#1f618d", "#f5b041", "#58d68d"};

#define COLOURS (sizeof(colour) / sizeof(colour[0]))

static double y_of(double regret)
{
	return TOP + HEIGHT * (1 - log2(fmin(fmax(regret, 1), HIGHEST)) / log2(HIGHEST));
}

static void scale(FILE *out, double right)
{
	for (double r = 1; r <= HIGHEST; r *= 2) {
		fprintf(out, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%.0f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", LEFT,
			y_of(r), right, y_of(r));
		fprintf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n", LEFT - 6,
			y_of(r) + 4, r);
	}
}

static void legend(FILE *out)
{
	for (unsigned c = 0; c < sim_competitors; c++) {
		unsigned x = LEFT + c * 105;

		fprintf(out, "<rect x=\"%u\" y=\"20\" width=\"12\" height=\"12\" fill=\"%s\"/>\n", x,
			colour[c % COLOURS]);
		fprintf(out, "<text x=\"%u\" y=\"30\">%s</text>\n", x + 16, sim_competitor[c].name);
	}
}

/* A family's bars from x on, its name below, and its limit across. */
static void group(FILE *out, const struct scored *s, unsigned n, unsigned i, double x)
{
	double width = sim_competitors * BAR, limit = y_of(s[i].trace.limit);

	for (unsigned c = 0; c < sim_competitors; c++) {
		double worst = sim_worst(s, n, s[i].trace.family, c), y = y_of(worst);

		fprintf(out,
			"<rect x=\"%.0f\" y=\"%.1f\" width=\"%d\" height=\"%.1f\" fill=\"%s\"><title>%s, %s: "
			"%.2f</title></rect>\n",
			x + c * BAR, y, BAR - 2, fmax(TOP + HEIGHT - y, 1), colour[c % COLOURS],
			s[i].trace.family, sim_competitor[c].name, worst);
	}
	fprintf(out,
		"<line x1=\"%.0f\" y1=\"%.1f\" x2=\"%.0f\" y2=\"%.1f\" stroke=\"#c0392b\" "
		"stroke-dasharray=\"4 2\"/>\n",
		x, limit, x + width, limit);
	fprintf(out, "<text x=\"%.0f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x + width / 2,
		TOP + HEIGHT + 18, s[i].trace.family);
}

int sim_plot(const char *path, const struct scored *s, unsigned n)
{
	double x = LEFT + GAP / 2, step = sim_competitors * BAR + GAP;
	unsigned families = 0;
	FILE *out = fopen(path, "we");

	if (!out)
		return -errno;
	for (unsigned i = 0; i < n; i++)
		families += sim_first_of_family(s, i) == i;
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%d\" "
		"font-family=\"sans-serif\" "
		"font-size=\"11\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
		LEFT + families * step + 20, TOP + HEIGHT + 50);
	legend(out);
	scale(out, LEFT + families * step);
	for (unsigned i = 0; i < n; i++)
		if (sim_first_of_family(s, i) == i) {
			group(out, s, n, i, x);
			x += step;
		}
	fprintf(out,
		"<text x=\"%d\" y=\"%d\">Worst price over that of the best fixed ceiling in hindsight; "
		"dashed: the limit of "
		"auto.</text>\n</svg>\n",
		LEFT, TOP + HEIGHT + 40);
	return fclose(out) ? -errno : 0;
}

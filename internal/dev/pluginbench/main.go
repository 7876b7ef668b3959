// Command pluginbench compares the ways to a provider: linked in, through a
// loopback, in a process over frames and over a gRPC stream, and as a sidecar. It
// compares them with a plain unary call of go-plugin, and with go-redis. All take
// turns in one run, and pluginbench prints ratios with their spreads.
//
//	go run ./internal/dev/pluginbench [-turn 300ms] [-rounds 7] [-run REGEXP]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/plugins"
	_ "fairlead.dev/providers/redis"
)

func main() {
	if name, ok := strings.CutPrefix(filepath.Base(os.Args[0]), "fairlead-"); ok {
		plugins.Main(name)
		return
	}
	if os.Getenv(unaryEnv) != "" {
		serveUnary()
		return
	}
	var s settings
	flag.DurationVar(&s.turn, "turn", 300*time.Millisecond, "how long each way runs before the next one's turn")
	flag.IntVar(&s.rounds, "rounds", 7, "how many turns each way has")
	run := flag.String("run", "", "measure only what matches this regular expression, for example \"null/get/64\"")
	flag.Parse()
	var err error
	if s.match, err = regexp.Compile(*run); err == nil {
		err = s.measureAll(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pluginbench:", err)
		os.Exit(1)
	}
}

type settings struct {
	turn   time.Duration
	rounds int
	match  *regexp.Regexp
}

// measureAll measures on the null driver, and on a real Redis that syncs every
// write.
func (s settings) measureAll(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "pluginbench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := s.measureBackend(ctx, "null", "null://", "", dir); err != nil {
		return err
	}
	server, err := testbed.StartRedis(ctx)
	if err != nil {
		return err
	}
	defer server.Stop(ctx)
	return s.measureBackend(ctx, "redis", server.URL(), server.URL(), dir)
}

// measureBackend measures all operations on one backend.
func (s settings) measureBackend(ctx context.Context, name, url, redisURL, dir string) error {
	ways, err := openWays(ctx, name, url, redisURL, dir)
	if err != nil {
		return err
	}
	defer ways.closeAll()
	for _, way := range ways.all { // so that a get finds a value
		if _, err := way.call(ctx, "put"); err != nil {
			return fmt.Errorf("%s: %w", way.name, err)
		}
	}
	for _, kind := range []string{"put", "get", "publish"} {
		for _, callers := range []int{1, 64} {
			title := fmt.Sprintf("%s/%s/%d", name, kind, callers)
			if !s.match.MatchString(title) {
				continue
			}
			all := ways.contestants(ctx, kind)
			if err := takeTurns(all, callers, s.rounds, s.turn); err != nil {
				return fmt.Errorf("%s: %w", title, err)
			}
			printTable(title, all, callers)
		}
	}
	return nil
}

// printTable prints a table. The first contestant is the yardstick, the second the
// linked-in provider.
func printTable(title string, all []*contestant, callers int) {
	t := table.NewWriter()
	t.SetOutputMirror(os.Stdout)
	t.SetTitle("%s callers", title)
	t.SetStyle(table.StyleLight)
	header := table.Row{"way", "calls/s", "× " + all[0].name}
	direct := all[len(all)-1]
	if direct.name == goRedisName {
		header = append(header, "× "+goRedisName)
	}
	if callers == 1 {
		header = append(header, "p50", "p50 added to linked in, ÷ what unary adds")
	}
	t.AppendHeader(header)
	for _, c := range all {
		row := table.Row{c.name, fmt.Sprintf("%.0f", median(c.rate)), formatRatios(c.rate, all[0].rate)}
		if direct.name == goRedisName {
			row = append(row, formatRatios(c.rate, direct.rate))
		}
		if callers == 1 {
			row = append(row, median(c.p50).Round(100*time.Nanosecond), formatAdded(c, all))
		}
		t.AppendRow(row)
	}
	t.Render()
}

// formatAdded returns the ratio of the time that a way adds to the time that the
// yardstick adds, over the rounds.
func formatAdded(c *contestant, all []*contestant) string {
	if c == all[1] {
		return ""
	}
	return formatRatios(differences(c.p50, all[1].p50), differences(all[0].p50, all[1].p50))
}

func differences(a, b []time.Duration) []float64 {
	out := make([]float64, min(len(a), len(b)))
	for i := range out {
		out[i] = float64(a[i] - b[i])
	}
	return out
}

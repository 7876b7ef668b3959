// Command guarantees writes the README's table of guarantees from what the
// providers describe on real servers, so that the table stays true.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/testbed"
	_ "fairlead.dev/providers/dapr"
	_ "fairlead.dev/providers/etcd"
	_ "fairlead.dev/providers/gocloud"
	_ "fairlead.dev/providers/memory"
	_ "fairlead.dev/providers/nats"
	_ "fairlead.dev/providers/redis"
)

//go:generate go run . ../../../README.md

const (
	begin = "<!-- guarantees: made by \"make generate\" -->"
	end   = "<!-- end of guarantees -->"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: guarantees README.md")
		os.Exit(2)
	}
	if err := rewrite(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "guarantees:", err)
		os.Exit(1)
	}
}

// rewrite replaces the table in a file.
func rewrite(ctx context.Context, file string) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	fresh, err := replaced(ctx, string(old))
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(fresh), 0o644)
}

// replaced returns the text with a new table between the marks.
func replaced(ctx context.Context, text string) (string, error) {
	before, rest, ok := strings.Cut(text, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", fmt.Errorf("the file must contain both marks, %q and %q", begin, end)
	}
	columns, err := describeAll(ctx)
	if err != nil {
		return "", err
	}
	return before + begin + "\n\n" + markdown(columns) + "\n" + end + after, nil
}

// column is a provider as it was found in one configuration.
type column struct {
	title string
	fairlead.Description
}

// describeAll opens every provider on separate backends.
func describeAll(ctx context.Context) (columns []column, err error) {
	var servers servers
	defer func() { err = errors.Join(err, servers.close()) }()
	always, err := testbed.StartRedis(ctx)
	servers.started(always, err)
	everysec, err := testbed.StartRedis(ctx, testbed.RedisConf("appendfsync everysec"))
	servers.started(everysec, err)
	etcd, err := testbed.StartEtcd(ctx)
	servers.started(etcd, err)
	members, err := testbed.StartEtcdCluster(ctx, 3)
	servers.started(members, err)
	synced, err := testbed.StartNATS(ctx, testbed.NATSSync("always"))
	servers.started(synced, err)
	nats, err := testbed.StartNATS(ctx)
	servers.started(nats, err)
	if servers.err != nil {
		return nil, servers.err
	}
	sidecar, err := testbed.StartDapr(ctx, testbed.DaprRedis(always.Addr()))
	if servers.started(sidecar, err); err != nil {
		return nil, err
	}
	for _, c := range []struct{ title, url string }{
		{"memory, `mem://NAME`", "mem://name"},
		{"redis, `appendfsync always`", always.URL()},
		{"redis, `everysec`", everysec.URL()},
		{"etcd, one member", etcd.URL()},
		{"etcd, three", members.URL()},
		{"nats, `sync_interval: always`", synced.URL() + "?monitor=" + synced.MonitorURL()},
		{"nats, default", nats.URL()},
		{"dapr, components on Redis", sidecar.URL() + "?app=*"},
		{"gocloud, `gocloud+mem://NAME`", "gocloud+mem://name"},
	} {
		d, err := describe(ctx, c.url)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.title, err)
		}
		columns = append(columns, column{c.title, d})
	}
	return columns, nil
}

// servers are the servers that run, and the first error of one that does not.
type servers struct {
	closers []func() error
	err     error
}

func (s *servers) close() error {
	var errs []error
	for _, c := range s.closers {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

// started records whether a server could be started.
func (s *servers) started(server interface{ Close() error }, err error) {
	if err != nil {
		s.err = cmp.Or(s.err, err)
		return
	}
	s.closers = append(s.closers, server.Close)
}

func describe(ctx context.Context, url string) (fairlead.Description, error) {
	p, err := fairlead.Open(ctx, url)
	if err != nil {
		return fairlead.Description{}, err
	}
	defer p.Close(ctx)
	return p.Describe(ctx)
}

// markdown returns a row for each claim of each facet.
func markdown(columns []column) string {
	var b strings.Builder
	b.WriteString("| | what it says |")
	for _, c := range columns {
		fmt.Fprintf(&b, " %s |", c.title)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(columns)) + "\n")
	for _, f := range fairlead.Facets() {
		for _, info := range conformance.ClaimsOf(f) {
			if !slices.Contains(fairlead.CommonClaims(), info) {
				row(&b, columns, f, info)
			}
		}
	}
	for _, info := range fairlead.CommonClaims() {
		row(&b, columns, fairlead.KV, info)
	}
	return b.String()
}

func row(b *strings.Builder, columns []column, f fairlead.Facet, info fairlead.ClaimInfo) {
	fmt.Fprintf(b, "| `%s` | %s |", info.Claim, info.Rule)
	for _, c := range columns {
		fmt.Fprintf(b, " %s |", mark(c.Description, f, info.Claim))
	}
	b.WriteString("\n")
}

func mark(d fairlead.Description, f fairlead.Facet, c fairlead.Claim) string {
	for _, fd := range conformance.Facets(d) {
		if fd.Facet == f && fd.Has(c) {
			return "yes"
		}
	}
	return "–"
}

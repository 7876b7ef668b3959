package plugins_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"fairlead.dev"
	"fairlead.dev/kv"
	"fairlead.dev/plugins"
	_ "fairlead.dev/providers/memory" // in a plugin's main package: the provider that it offers
)

// A host opens a provider in a plugin: a process of its own, which the host starts,
// watches, restarts and ends. Here no plugin is installed, and the error says so.
func ExampleHost() {
	host, err := plugins.NewHost(plugins.WithFolders("testdata/no-plugins"))
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	defer host.Close(ctx)
	p, err := host.Open(ctx, "plugin+redis://127.0.0.1:6379")
	if err != nil {
		fmt.Println("not installed:", errors.Is(err, fairlead.Invalid))
		return
	}
	defer p.Close(ctx)
	for _, s := range host.Status() {
		fmt.Println(s.Name, s.State)
	}
	// Output: not installed: true
}

// The main package of a plugin imports a provider and calls Main. The binary is
// named fairlead-mem, and "fairlead plugin install fairlead-mem" installs it.
func ExampleMain() {
	main := func() { plugins.Main("mem") }
	_ = main // a program that starts the plugin gives it its arguments
}

// Loopback is for tests of a provider: it crosses the plugin protocol within one
// process.
func ExampleLoopback() {
	ctx := context.Background()
	linked, err := fairlead.Open(ctx, "mem://")
	if err != nil {
		log.Fatal(err)
	}
	p, err := plugins.Loopback(ctx, linked, plugins.Frames)
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx) // closes the linked-in provider, too
	store, err := kv.Open(ctx, p, "users")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close(ctx)
	if _, err := store.Put(ctx, "ann", []byte("1")); err != nil {
		log.Fatal(err)
	}
	entry, err := store.Get(ctx, "ann")
	fmt.Printf("%s %v\n", entry.Value, err)
	// Output: 1 <nil>
}

// A sidecar is a plugin that runs independently of the programs that use it:
//
//	fairlead-redis --listen unix:///run/fairlead/redis.sock --url-file /etc/fairlead/url
//
// A program opens it by the address of its socket, and waits for it until the
// context ends. Here no sidecar listens.
func Example_sidecar() {
	ctx, cancel := context.WithTimeout(context.Background(), 1) // a nanosecond
	defer cancel()
	p, err := fairlead.Open(ctx, "sidecar+unix:///run/fairlead/redis.sock")
	if err != nil {
		fmt.Println("no sidecar yet:", errors.Is(err, fairlead.DeadlineExceeded))
		return
	}
	defer p.Close(ctx)
	// Output: no sidecar yet: true
}

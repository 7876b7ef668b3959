// Command hotreload is a small HTTP service whose rate limit and log level
// change while it runs. A URL says where its settings are; nothing else in the
// program depends on it:
//
//	hotreload --settings mem://
//	hotreload --settings redis://127.0.0.1:6379
//	hotreload --settings etcd://127.0.0.1:2379
//	hotreload --settings nats://127.0.0.1:4222
//	hotreload --settings file:shop.yaml
//
// See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	_ "fairlead.dev/plugins/auto" // any URL whose plugin is installed
	_ "fairlead.dev/providers/dapr"
	_ "fairlead.dev/providers/etcd"
	_ "fairlead.dev/providers/memory"
	_ "fairlead.dev/providers/nats"
	_ "fairlead.dev/providers/redis"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "hotreload:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("hotreload", flag.ContinueOnError)
	url := flags.String("settings", "mem://", "where the settings are: the URL of a backend, or file:PATH")
	listen := flags.String("listen", "127.0.0.1:8080", "address to serve on")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var level slog.LevelVar
	a, err := newApp(ctx, *url, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: &level})), &level)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return errors.Join(err, a.close())
	}
	a.log.Info("serving", "address", listener.Addr().String())
	return errors.Join(serve(ctx, listener, a.handler()), a.close())
}

// serve serves until ctx ends, and then finishes the requests under way.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return server.Shutdown(within)
}

// Command getservers builds the testbed's etcd and nats-server, and its Dapr
// runtime, before the tests start them, and prints the programs' paths.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"fairlead.dev/internal/dev/testbed"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for _, build := range []func(context.Context) (string, error){testbed.BuildServers, testbed.BuildDaprd} {
		path, err := build(ctx)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(path)
	}
}

package testbed

import (
	"context"
	"fmt"
)

// BuildServers builds the program that is etcd and nats-server, unless it is
// in the user's cache folder (see [os.UserCacheDir]) already, and returns its
// path. A build takes minutes when Go's own caches are empty. The cache is keyed
// by the program's sources and module versions and by the version of Go; test
// programs that need it at the same time build it once.
//
// It needs the sources of this package and the go command.
func BuildServers(ctx context.Context) (path string, err error) {
	path, err = serversProgram.get(ctx)
	if err != nil {
		return "", fmt.Errorf("testbed: building etcd and nats-server: %w", err)
	}
	return path, nil
}

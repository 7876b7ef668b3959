package kv

import (
	"context"
	"slices"

	"fairlead.dev"
	"fairlead.dev/internal/handle"
	"fairlead.dev/kv/driver"
)

// Stores returns the names of the stores of a provider that start with
// prefix, in ascending order. It needs the claim [Manage].
func Stores(ctx context.Context, p fairlead.Provider, prefix string) ([]string, error) {
	dp, err := managingProvider(ctx, p)
	if err != nil {
		return nil, fairlead.Annotate(err, "kv.Stores", "")
	}
	names, err := dp.Stores(ctx, prefix)
	slices.Sort(names)
	return names, fairlead.Annotate(err, "kv.Stores", "")
}

// DeleteStore removes a store with all that it holds. A store that does not
// exist is no error. Open handles of the store fail, or find it empty. It
// needs the claim [Manage].
func DeleteStore(ctx context.Context, p fairlead.Provider, name string) error {
	dp, err := managingProvider(ctx, p)
	if err == nil {
		err = handle.ValidateName("store", name)
	}
	if err == nil {
		err = dp.DeleteStore(ctx, name)
	}
	return handle.Annotate(err, "kv.DeleteStore", "", objectOf(name), "")
}

// managingProvider returns the driver of a provider that claims [Manage].
func managingProvider(ctx context.Context, p fairlead.Provider) (driver.Provider, error) {
	h, err := handle.Open(ctx, p, fairlead.KV, nil)
	if err != nil {
		return nil, err
	}
	if err := h.CheckClaim(Manage); err != nil {
		return nil, err
	}
	return driverProvider(p)
}

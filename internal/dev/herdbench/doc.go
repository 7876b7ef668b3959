// Package herdbench measures how the rate of a group changes with the number of its
// consumers, over each provider. It has tests only.
package herdbench

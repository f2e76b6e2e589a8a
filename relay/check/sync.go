package check

var syncing []check

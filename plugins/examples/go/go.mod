module weighted-error

go 1.24

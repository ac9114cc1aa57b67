variable "name" {
  description = "Name of the cluster; begins the name of everything that is made."
  type        = string
  default     = "tundra"
}

variable "region" {
  description = "Region of the cluster."
  type        = string
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnets" {
  description = "Private subnets by availability zone, with a way out to package mirrors and AWS. One coordinator and one group of shards go into each."
  type        = map(string)

  validation {
    condition     = length(var.subnets) == 3
    error_message = "A cluster has three zones: with fewer, one of them could take the majority of the coordinators along."
  }
}

variable "route_table_ids" {
  description = "Route tables of the subnets, for the S3 endpoint."
  type        = list(string)
}

variable "client_cidrs" {
  description = "Who reaches Flight SQL on the coordinators. It has no TLS of its own yet."
  type        = list(string)
}

variable "operator_cidrs" {
  description = "Who reaches the Admin API, /healthz, /readyz and /metrics on the coordinators."
  type        = list(string)
}

variable "bucket" {
  description = "Name of the bucket that is made for the datasets and the catalog's copy."
  type        = string
}

variable "kms_key_arn" {
  description = "Key for the bucket and the volumes; null: keys of S3 and of EBS. The key's policy must let the autoscaling service use it."
  type        = string
  default     = null
}

variable "noncurrent_days" {
  description = "Days that objects stay restorable after they were deleted or replaced."
  type        = number
  default     = 30
}

variable "tenants" {
  description = "Tenants, each with the ARNs of those who may take its role."
  type        = map(list(string))
  default     = {}

  validation {
    condition     = alltrue([for tenant in keys(var.tenants) : can(regex("^[a-z0-9_-]{1,32}$", tenant)) && tenant != "catalog"])
    error_message = "A tenant is named by up to 32 of a-z, 0-9, _ and -, and not `catalog`, where the catalog's copy lies."
  }
}

variable "binary" {
  description = "Where nodes get `tundra` from, built for Debian 12 on x86-64: a bucket, a key in it, and the SHA-256 in hex."
  type        = object({ bucket = string, key = string, sha256 = string })
}

variable "ami_id" {
  description = "A Debian 12 image for x86-64; null: the newest official one."
  type        = string
  default     = null
}

variable "coordinator_instance_type" {
  description = "Type of the coordinators' instances."
  type        = string
  default     = "r7i.large"
}

variable "coordinator_volume_gib" {
  description = "Volume of each coordinator's Raft log, in GiB."
  type        = number
  default     = 20
}

variable "coordinator_options" {
  description = "More of `tundra coordinator --help`, the same for all of them."
  type        = string
  default     = ""
}

variable "shard_instance_type" {
  description = "Type of the shards' instances."
  type        = string
  default     = "r7i.8xlarge"
}

variable "shards_per_zone" {
  description = "Shards in each zone."
  type        = number
  default     = 1
}

variable "shard_volume" {
  description = "The gp3 volume for a shard's segments; null: the first instance-store disk, for types that have one (r7i has none)."
  type        = object({ gib = number, iops = number, mib_per_second = number })
  default     = { gib = 500, iops = 6000, mib_per_second = 500 }
}

variable "shard_memory" {
  description = "Memory for resident data and queries: a size, or a share of the machine's."
  type        = string
  default     = "80%"
}

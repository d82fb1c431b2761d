// OpenCL with every object counted: leaks that a sanitizer does not see, as they are the driver's memory.
#ifndef NNC_TESTS_COUNTED_API_H
#define NNC_TESTS_COUNTED_API_H

#include "runtime/opencl/loader.h"

// Makes a table's creating and releasing entries count; one table at a time.
void count_objects(cl_api *api);
int objects_alive(void);

#endif
